"""Reads of one client as of an earlier position or time, in a log of a million events.

Sessions have ten turns. For a session the position lies between its turns, so that five of them are shown; the present is
there for comparison. Half of the positions are in the first tenth of the log.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from benchmarks.api import AGENTS, BUILT_S, wait_until_built
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.seeding import seed_conversations
from benchmarks.servers import replaystack
from stack.event_log import open_store

EVENTS, QUICK_EVENTS = 1_000_000, 100_000
BAR_MS = 5.0
SHOWN_TURNS = 5
SAMPLE = 64


class Moment(NamedTuple):
    """A session, and a position and its time (RFC 3339) at which it had `SHOWN_TURNS` turns."""

    path: str
    agent: str
    position: int
    time: str


def run(quick: bool) -> list[Result]:
    """Medians of the time from request to last byte, on one kept connection."""
    events = QUICK_EVENTS if quick else EVENTS
    rounds, reads = (3, 60) if quick else (9, 200)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        sessions = seed_conversations(data, events)
        moments = _moments(data, sessions)
        with replaystack(data) as server, Connection(server.port, BUILT_S) as connection:
            wait_until_built(connection)
            _check(connection, moments[0])

            def measured(name: str, path: Callable[[Moment], str], bar: float | None = None) -> Result:
                taken = _medians(connection, [path(one) for one in moments], rounds, reads)
                return of_rounds(f"{name}, {events:,} events, p50", taken, "ms", bar)

            return [
                measured("session as of a position", lambda one: f"{one.path}?as_of={one.position}", BAR_MS),
                measured("session as of a time", lambda one: f"{one.path}?as_of={one.time}", BAR_MS),
                measured("session as it is", lambda one: one.path),
                measured("agent as of a position", lambda one: f"{one.agent}?as_of={one.position}"),
                measured(
                    "page of 10 agents as of a position",
                    lambda one: f"{AGENTS}?limit=10&as_of={one.position}",
                ),
            ]


def _moments(data: Path, sessions: list[tuple[str, str]]) -> list[Moment]:
    """Sessions from all of the log, and as many from its first tenth."""
    half = SAMPLE // 2
    tenth = max(1, len(sessions) // 10)
    chosen = [sessions[len(sessions) * number // half] for number in range(half)]
    chosen += [sessions[tenth * number // half] for number in range(half)]
    store = open_store(data)
    try:
        moments = []
        for session_id, agent_id in chosen:
            # In each session the events of the session itself come first, then those of its turns.
            turns = [
                record
                for record in store.log.stream(f"default/session/{session_id}")
                if record.name == "session.turn_opened.1"
            ]
            turn_id = msgspec.json.decode(turns[SHOWN_TURNS - 1].state)["turn_id"]
            last = store.log.stream(f"default/turn/{turn_id}")[-1]
            at = datetime.fromtimestamp(last.recorded_at / 1e6, UTC)
            agent = f"{AGENTS}/{agent_id}"
            moments.append(
                Moment(f"{agent}/session/{session_id}", agent, last.position, quote(at.isoformat()))
            )
        return moments
    finally:
        store.close()


def _medians(connection: Connection, paths: list[str], rounds: int, reads: int) -> list[float]:
    for path in paths[:20]:
        connection.get(path)
    return [
        median(connection.get(paths[number % len(paths)]).took_ms for number in range(reads))
        for _ in range(rounds)
    ]


def _check(connection: Connection, moment: Moment) -> None:
    """Raises RuntimeError unless what is measured is what was asked for."""
    for as_of in (str(moment.position), moment.time):
        session = msgspec.json.decode(connection.get(f"{moment.path}?as_of={as_of}").body)
        if len(session["turns"]) != SHOWN_TURNS:
            raise RuntimeError(f"As of {as_of} the session has {len(session['turns'])} turns.")


if __name__ == "__main__":
    standalone(run, "as_of", __doc__)
