"""Forks: the last of a chain of 50 forks of a session of 200 turns, and a fork at each event of a session."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import uvloop

from benchmarks.api import AGENTS
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.seeding import Seeded, seed
from benchmarks.servers import replaystack
from schemas.api.session import ForkSessionRequest
from stack.data_folder import DataFolder
from stack.domain.stream_position import BEGINNING
from stack.eventstore import stream_name
from stack.services.requests.caller import Caller
from stack.services.turns.running_turn import RunningTurn
from stack.settings import Settings
from stack.wiring import Server

TURNS = 200
CHAIN = 50
CHAIN_BAR_MS = 30.0
EVENTS = 5_000
EVENTS_OF_A_TURN = 4
CALLER = Caller()


def run(quick: bool) -> list[Result]:
    return [*_chain(quick), *uvloop.run(_each_event(400 if quick else EVENTS))]


def _chain(quick: bool) -> list[Result]:
    """On one kept connection. The events of a fork are counted with all of their fields in the log."""
    rounds, reads = (3, 20) if quick else (9, 60)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        seeded = seed(data, 1, TURNS)
        with replaystack(data) as server, Connection(server.port) as connection:
            sessions = f"{AGENTS}/{seeded.agents[0]}/session"
            session, took = seeded.session, []
            for _ in range(CHAIN):
                answer = connection.post(f"{sessions}/{session}/fork", {})
                session = msgspec.json.decode(answer.body)["session_id"]
                took.append(answer.took_ms)
            _check(connection, f"{sessions}/{session}", seeded)
            opened = [
                median(connection.get(f"{sessions}/{session}").took_ms for _ in range(reads))
                for _ in range(rounds)
            ]
            size = _bytes_added(connection, session)
    name = f"the last of {CHAIN} forks of a session of {TURNS} turns"
    return [
        of_rounds(f"{name}: open it, p50", opened, "ms", CHAIN_BAR_MS),
        of_rounds(f"{name}: make it, p50", [median(took)], "ms"),
        of_rounds(f"{name}: bytes added to the log (the ids of the turns)", [size], "bytes"),
    ]


def _check(connection: Connection, path: str, seeded: Seeded) -> None:
    """Raises RuntimeError unless the fork has all turns of the session."""
    turns = [turn["turn_id"] for turn in msgspec.json.decode(connection.get(path).body)["turns"]]
    if turns != seeded.turns:
        raise RuntimeError(f"The last fork has {len(turns)} turns of {TURNS}.")


def _bytes_added(connection: Connection, session_id: str) -> float:
    page = msgspec.json.decode(connection.get(f"/v1alpha/events?stream=session/{session_id}").body)
    return float(sum(len(msgspec.json.encode(one)) for one in page["data"]))


async def _each_event(events: int) -> list[Result]:
    """Forks a session at each of its events, and compares the fork with the events up to that one."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        turns = events // EVENTS_OF_A_TURN
        seeded = await asyncio.to_thread(seed, data, 1, turns)
        opened = DataFolder(data)
        server = Server(Settings(data=data, discover_models=False), opened)
        try:
            await server.start()
            points = [(turn, number) for turn in range(turns) for number in range(1, EVENTS_OF_A_TURN + 1)]
            took = [await _fork_at(server, seeded, turn, number) for turn, number in points]
            return [
                of_rounds(
                    f"a fork at each of {len(points):,} events: as its prefix", [float(len(took))], "forks"
                ),
                of_rounds(f"a fork at each of {len(points):,} events: one fork, p50", [median(took)], "ms"),
            ]
        finally:
            await server.stop()
            opened.close()


async def _fork_at(server: Server, seeded: Seeded, place: int, number: int) -> float:
    """Returns the milliseconds that the fork took. Raises RuntimeError unless it is the prefix."""
    agent_id, turn_id = seeded.agents[0], seeded.turns[place]
    original = await server.store.read_stream(stream_name("turn", turn_id))
    request = ForkSessionRequest(event=original[number - 1].position)
    began = time.perf_counter()
    fork_id = await server.forks.fork(agent_id, seeded.session, request, CALLER, "")
    took_ms = (time.perf_counter() - began) * 1000
    state = (await server.states.session(agent_id, fork_id)).state
    before, last = state.turns[:place], state.turns[place]
    if list(before) != seeded.turns[:place] or len(state.turns) != place + 1:
        raise RuntimeError(f"The fork at event {number} of turn {place} has other turns.")
    ours, theirs = await _frames(server, seeded.session, turn_id), await _frames(server, fork_id, last)
    theirs = [
        (at, body.replace(last.encode(), turn_id.encode()).replace(fork_id.encode(), seeded.session.encode()))
        for at, body in theirs
    ]
    # After the copied frames there is that of the cancellation, at a later event.
    copied = [(at, body) for at, body in theirs if at.version <= number]
    if copied != ours[: len(copied)] or (number == EVENTS_OF_A_TURN and last != turn_id):
        raise RuntimeError(f"The fork at event {number} of turn {place} is not its prefix.")
    return took_ms


async def _frames(server: Server, session_id: str, turn_id: str) -> list[tuple[Any, bytes]]:
    turn = RunningTurn(server.store, session_id, turn_id)
    await turn.load()
    return [(frame.position, bytes(frame.body)) for frame in turn.live.after(BEGINNING)]


if __name__ == "__main__":
    standalone(run, "fork", __doc__)
