"""Reads of one client: a page of 10 of 10,000 agents, a session of 200 turns, one turn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.api import AGENTS
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.seeding import seed
from benchmarks.servers import replaystack

AGENTS_COUNT = 10_000
TURNS_COUNT = 200
PAGE_BAR_MS = 5.0
SESSION_BAR_MS = 15.0
TURN_BAR_MS = 4.0


def run(quick: bool) -> list[Result]:
    """Medians of the time from request to last byte, on one kept connection."""
    rounds, reads = (3, 40) if quick else (9, 150)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        seeded = seed(data, AGENTS_COUNT, TURNS_COUNT)
        session = f"{AGENTS}/{seeded.agents[0]}/session/{seeded.session}"

        def page(number: int) -> str:
            return f"{AGENTS}?start_index={number * 977 % (AGENTS_COUNT - 10)}&limit=10"

        def turn(number: int) -> str:
            return f"{session}/turn/{seeded.turns[number * 37 % TURNS_COUNT]}"

        with replaystack(data) as server, Connection(server.port) as connection:
            _check(connection, page(1), session)
            return [
                of_rounds(name, _medians(connection, path, rounds, count), "ms", bar)
                for name, path, count, bar in (
                    ("page of 10 of 10,000 agents, p50", page, reads, PAGE_BAR_MS),
                    ("session of 200 turns, p50", lambda _: session, reads // 2, SESSION_BAR_MS),
                    ("one turn of it, p50", turn, reads, TURN_BAR_MS),
                )
            ]


def _medians(connection: Connection, path: Callable[[int], str], rounds: int, reads: int) -> list[float]:
    for number in range(10):
        connection.get(path(number))
    return [median(connection.get(path(number)).took_ms for number in range(reads)) for _ in range(rounds)]


def _check(connection: Connection, page: str, session: str) -> None:
    """Raises RuntimeError unless what is measured is what was asked for."""
    agents = len(msgspec.json.decode(connection.get(page).body)["data"])
    turns = len(msgspec.json.decode(connection.get(session).body)["turns"])
    if (agents, turns) != (10, TURNS_COUNT):
        raise RuntimeError(f"The page has {agents} agents and the session {turns} turns.")


if __name__ == "__main__":
    standalone(run, "read", __doc__)
