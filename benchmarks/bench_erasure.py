"""Erasure: from the deletion of one session among a million events to the receipt that says done; and, meanwhile,
creating an agent and reading it.

The log is filled in this process; the first start builds the read models from it, which is not measured.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from benchmarks.api import AGENTS, BUILT_S, new_agent, wait_until_built
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.seeding import seed_conversations
from benchmarks.servers import replaystack

EVENTS = 1_000_000
DONE_BAR_S = 60.0
ROUNDS = 3


def run(quick: bool) -> list[Result]:
    """Several deletions, one after the other; write-then-read runs all the time between a deletion and its receipt."""
    events, rounds = (100_000, 2) if quick else (EVENTS, ROUNDS)
    took_s: list[float] = []
    meanwhile_ms: list[float] = []
    quiet_ms: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        sessions = seed_conversations(data, events)
        with replaystack(data) as server, Connection(server.port, BUILT_S) as connection:
            wait_until_built(connection)
            for session, agent in sessions[:rounds]:
                quiet_ms += [_create_and_read(connection) for _ in range(100)]
                began = time.perf_counter()
                connection.request("DELETE", f"{AGENTS}/{agent}/session/{session}")
                meanwhile_ms += _until_done(connection, session)
                took_s.append(time.perf_counter() - began)
        files_mb = sum(file.stat().st_size for file in data.rglob("*") if file.is_file()) / 1e6
    what = f"deletion to receipt, {events:,} events"
    return [
        of_rounds(what, took_s, "s", DONE_BAR_S),
        Result(f"{what}: create and read meanwhile, slowest", max(meanwhile_ms), "ms"),
        Result(f"{what}: create and read meanwhile, p99", percentile(meanwhile_ms, 0.99), "ms"),
        Result(f"{what}: create and read before, p99", percentile(quiet_ms, 0.99), "ms"),
        Result("size of the data folder", files_mb, "MB"),
    ]


def _until_done(connection: Connection, session: str) -> list[float]:
    """Milliseconds of each create-and-read until the receipt of the session is done."""
    took_ms = []
    while True:
        took_ms.append(_create_and_read(connection))
        receipt = json.loads(connection.get(f"/v1alpha/erasures/{session}").body)
        if receipt["state"] == "done":
            return took_ms
        time.sleep(0.02)


def _create_and_read(connection: Connection) -> float:
    began = time.perf_counter()
    agent_id = new_agent(connection)
    if agent_id.encode() not in connection.get(f"{AGENTS}/{agent_id}").body:
        raise RuntimeError("An agent that was created is not shown.")
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    standalone(run, "erasure", __doc__)
