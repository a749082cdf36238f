"""`kill -9` at random moments: whatever was acknowledged is there, in order, and the log is whole."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stack.event_log import open_store
from stack.eventstore.sqlite.verify import verify

pytestmark = pytest.mark.slow

ROUNDS = 6

CHILD = """
import asyncio, sys, uuid
from pathlib import Path
from schemas.events.session import SessionCreated, SessionDeleted
from stack.event_log import open_store
from stack.eventstore import Append, EventStore, StreamWrite

async def client(store):
    while True:
        id = uuid.uuid4().hex
        stream = f"default/session/{id}"
        content = id * (20_000 if id[0] == "0" else 1)
        event = SessionCreated(agent_id="a", session_name=content)
        done = await store.append(Append((StreamWrite(stream, 0, (event,)),), command=id))
        print(f"a {id} {done.first} {done.recorded_at[0]}", flush=True)
        if id[1] == "1":
            await store.append(Append((StreamWrite(stream, 1, (SessionDeleted(),)),), redact=(stream,)))
            print(f"r {id}", flush=True)

async def main():
    store = open_store(Path(sys.argv[1]))
    print("ready", flush=True)
    await asyncio.gather(*[client(store) for _ in range(16)])

asyncio.run(main())
"""


def test_acknowledged_events_survive_kill_9(tmp_path: Path) -> None:
    chosen = random.Random(7)
    acknowledged: dict[str, tuple[int, int]] = {}
    redacted: set[str] = set()
    for _ in range(ROUNDS):
        for line in _killed_after(tmp_path, chosen.uniform(0.05, 0.4)):
            kind, id, *numbers = line.split()
            if kind == "a":
                acknowledged[id] = (int(numbers[0]), int(numbers[1]))
            else:
                redacted.add(id)
        report = verify(tmp_path)
        assert report.problems == ()
        assert report.events >= len(acknowledged) + len(redacted)
    assert len(acknowledged) > 100
    asyncio.run(_check(tmp_path, acknowledged, redacted))


def _killed_after(folder: Path, seconds: float) -> list[str]:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    deadline = time.monotonic() + seconds
    lines = []
    os.set_blocking(child.stdout.fileno(), False)
    while time.monotonic() < deadline:
        lines.append(child.stdout.read() or b"")
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    os.set_blocking(child.stdout.fileno(), True)
    lines.append(child.stdout.read())
    child.stdout.close()
    # The last line may be cut off by the kill.
    return b"".join(lines).decode().split("\n")[:-1]


async def _check(folder: Path, acknowledged: dict[str, tuple[int, int]], redacted: set[str]) -> None:
    store = open_store(folder)
    streams = await store.read_streams([f"default/session/{id}" for id in acknowledged])
    for id, (position, recorded_at) in acknowledged.items():
        events = streams[f"default/session/{id}"]
        assert (events[0].position, events[0].recorded_at) == (position, recorded_at)
        if id in redacted:
            assert [type(e.event).__name__ for e in events] == ["Redacted", "SessionDeleted"]
        elif len(events) == 1:
            assert events[0].event.session_name.startswith(id)  # type: ignore[attr-defined]
        found = await store.find_command(id)
        assert found is not None
        assert found.first_position == position
    store.close()
