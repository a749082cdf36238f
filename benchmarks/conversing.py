"""Clients that hold conversations concurrently, and the cost of a turn for the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.api import CHUNKS, FIRST_TEXT, check_whole, new_session, turn_request
from benchmarks.client import Connection
from benchmarks.load import concurrently
from benchmarks.servers import Server

CLIENTS = 8
TURNS_OF_A_SESSION = 10

Turn = Callable[[Connection, str], object]
"""Runs one turn in the session with this path."""


class Cost(NamedTuple):
    """The cost of one turn: processor time of the server in ms; and the number of turns per second."""

    cpu_ms: float
    turns_per_s: float


def asking(proxy: Server, answers: int) -> float:
    """Each of eight clients streams this number of answers through a bare proxy. Returns its processor time for
    one, in ms."""

    def ask(connection: Connection, _: int) -> None:
        for _ in range(answers):
            streamed = connection.stream("/", turn_request(True), FIRST_TEXT)
            check_whole(streamed.raw, CHUNKS)

    before_s = proxy.cpu_s()
    concurrently(proxy.port, CLIENTS, ask)
    return (proxy.cpu_s() - before_s) * 1000 / (CLIENTS * answers)


def conversing(server: Server, agent_id: str, turn: Turn, sessions: int) -> Cost:
    """Each of eight clients leads `sessions` new sessions of ten turns. Everything that follows from a turn
    counts: it ends when the read models have all of them."""
    with Connection(server.port) as own:
        paths = [[new_session(own, agent_id) for _ in range(sessions)] for _ in range(CLIENTS)]

    def lead(connection: Connection, number: int) -> None:
        for path in paths[number]:
            for _ in range(TURNS_OF_A_SESSION):
                turn(connection, path)

    before_s = server.cpu_s()
    _, took_s = concurrently(server.port, CLIENTS, lead)
    with Connection(server.port) as own:
        own.get(paths[0][0])  # Waits until the read models hold every turn.
    turns = CLIENTS * sessions * TURNS_OF_A_SESSION
    return Cost((server.cpu_s() - before_s) * 1000 / turns, turns / took_s)
