"""Durable appends: 64 concurrent single-event requests against raw SQLite with one commit per event.

Both use the ids that the server makes (UUIDv7). With UUIDv4 each event dirties an index page of its own, and an
append costs twice the CPU.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from uuid_utils import uuid7

from schemas.events.session import SessionCreated
from stack.eventstore import Append, EventStore, StreamWrite, stream_name

CLIENTS = 64
EVENTS = 48_000
WARM_UP_EVENTS = 3_200
RAW_EVENTS = 3_000
_AGENT_ID = "5e2b6d0e-9d5b-4c0c-8a57-2d8b7c1f4e11"
BARS = {"ratio": 4.0, "p99_ms": 10.0}


def run() -> dict[str, float]:
    """`events_per_s`, `raw_per_s`, their `ratio`, the latency of an append as `p50_ms`, `p99_ms`, `max_ms`, and
    `cpu_us`, the process's CPU time per event with the client's share.

    The raw rate is taken before and after, as its mean: the disk is not alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = _raw_rate(Path(folder) / "before.sqlite")
        cpu_s = time.process_time()
        rate, latencies_ms = uvloop.run(_appends(Path(folder) / "log"))
        cpu_s = time.process_time() - cpu_s
        after = _raw_rate(Path(folder) / "after.sqlite")
    latencies_ms.sort()
    raw = (before + after) / 2
    return {
        "events_per_s": round(rate),
        "raw_per_s": round(raw),
        "ratio": round(rate / raw, 2),
        "p50_ms": round(latencies_ms[len(latencies_ms) // 2], 2),
        "p99_ms": round(latencies_ms[len(latencies_ms) * 99 // 100], 2),
        "max_ms": round(latencies_ms[-1], 2),
        "cpu_us": round(cpu_s / (EVENTS + WARM_UP_EVENTS) * 1e6, 1),
    }


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


async def _appends(folder: Path) -> tuple[float, list[float]]:
    """Events per second, and the latency of each append in ms."""
    store = EventStore.open(folder)
    try:
        await _clients(store, WARM_UP_EVENTS, [])
        latencies_ms: list[float] = []
        started = time.perf_counter()
        await _clients(store, EVENTS, latencies_ms)
        return EVENTS / (time.perf_counter() - started), latencies_ms
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


def main() -> None:
    measured = run()
    if "--json" in sys.argv[1:]:
        print(json.dumps(measured))
        return
    for name, value in measured.items():
        bar = f"   (bar: {BARS[name]})" if name in BARS else ""
        print(f"{name:14} {value:>12,}{bar}")


if __name__ == "__main__":
    main()
