"""Durable appends: 64 concurrent single-event requests against raw SQLite with one commit per event.

Both use the ids that the server makes (UUIDv7). With UUIDv4 each event dirties an index page of its own, and an
append costs twice the CPU.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from pathlib import Path

import uvloop
from uuid_utils import uuid7

from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from schemas.events.session import SessionCreated
from stack.event_log import open_store
from stack.eventstore import Append, EventStore, StreamWrite, stream_name

CLIENTS = 64
EVENTS = 48_000
WARM_UP_EVENTS = 3_200
RAW_EVENTS = 3_000
_AGENT_ID = "5e2b6d0e-9d5b-4c0c-8a57-2d8b7c1f4e11"
RATIO_BAR = 4.0
P99_BAR_MS = 10.0


def run(quick: bool) -> list[Result]:
    """The raw rate is taken before and after each round, as its mean: the disk is not alone."""
    events = EVENTS // 4 if quick else EVENTS
    rounds = [_round(events) for _ in range(2 if quick else 5)]
    raw, rates, latencies_ms = zip(*rounds, strict=True)
    ratios = [rate / one for rate, one in zip(rates, raw, strict=True)]
    p99_ms = [percentile(took_ms, 0.99) for took_ms in latencies_ms]
    return [
        of_rounds(
            f"durable appends, {CLIENTS} clients, against raw SQLite, one commit each",
            ratios,
            "x",
            RATIO_BAR,
            "higher",
        ),
        of_rounds("latency of an append, p99", p99_ms, "ms", P99_BAR_MS),
        of_rounds("latency of an append, p50", [percentile(took_ms, 0.5) for took_ms in latencies_ms], "ms"),
        of_rounds("appends a second", rates, "1/s", better="higher"),
        of_rounds("raw SQLite, commits a second", raw, "1/s", better="higher"),
    ]


def _round(events: int) -> tuple[float, float, list[float]]:
    """The raw rate, the rate of the event store, and the latency of each append in ms."""
    with tempfile.TemporaryDirectory() as folder:
        before = _raw_rate(Path(folder) / "before.sqlite")
        rate, latencies_ms = uvloop.run(_appends(Path(folder) / "log", events))
        after = _raw_rate(Path(folder) / "after.sqlite")
    return (before + after) / 2, rate, latencies_ms


def _raw_rate(path: Path) -> float:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(
        "CREATE TABLE events (position INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, "
        "version INTEGER NOT NULL, name TEXT NOT NULL, recorded_at INTEGER NOT NULL, state BLOB NOT NULL, "
        "UNIQUE (stream, version))"
    )
    state = json.dumps({"event": "session.created.1", "agent_id": _AGENT_ID, "session_name": "bench"})
    started = time.perf_counter()
    for _ in range(RAW_EVENTS):
        row = (f"default/session/{uuid7()}", 1, "session.created.1", time.time_ns(), state.encode())
        db.execute(
            "INSERT INTO events (stream, version, name, recorded_at, state) VALUES (?, ?, ?, ?, ?)", row
        )
    elapsed = time.perf_counter() - started
    db.close()
    return RAW_EVENTS / elapsed


async def _appends(folder: Path, events: int) -> tuple[float, list[float]]:
    """Events per second, and the latency of each append in ms."""
    store = open_store(folder)
    try:
        await _clients(store, WARM_UP_EVENTS, [])
        latencies_ms: list[float] = []
        started = time.perf_counter()
        await _clients(store, events, latencies_ms)
        return events / (time.perf_counter() - started), latencies_ms
    finally:
        store.close()


async def _clients(store: EventStore, events: int, latencies_ms: list[float]) -> None:
    async def client() -> None:
        for _ in range(events // CLIENTS):
            event = SessionCreated(agent_id=_AGENT_ID, session_name="bench")
            started = time.perf_counter()
            await store.append(Append((StreamWrite(stream_name("session", str(uuid7())), 0, (event,)),)))
            latencies_ms.append((time.perf_counter() - started) * 1_000)

    await asyncio.gather(*[client() for _ in range(CLIENTS)])


if __name__ == "__main__":
    standalone(run, "append", __doc__)
