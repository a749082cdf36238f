"""Rebuilding the view from a log of a million events: events per second and peak memory of the process.

The log lies in an SQLite file, as the event log does; the rebuild runs in a process of its own, so that its peak
is its own. Bars: at least 150,000 events/s, at most 400 MB.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import ROOT
from projections.read_models import current_plan
from projections.warehouse.engine import Engine
from projections.warehouse.feed import Record
from projections.warehouse.instance import Warehouse

EVENTS = 1_000_000
RATE_BAR = 150_000
MEMORY_BAR_MB = 400.0
_START_US = 1_790_000_000_000_000
_WORDS = (
    "the",
    "agent",
    "reads",
    "what",
    "log",
    "says",
    "and",
    "answers",
    "in",
    "a",
    "few",
    "plain",
    "words",
)

Event = tuple[str, int, str, bytes]


class SqliteFeed:
    """The benchmark's log: rows of an SQLite file, read as the event log reads its own."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False)
        (self._head,) = self._connection.execute("SELECT max(position) FROM log").fetchone()

    @property
    def epoch(self) -> str:
        return "bench"

    def head(self) -> int:
        return int(self._head)

    def read(self, after: int, limit: int) -> Sequence[Record]:
        rows = self._connection.execute(
            "SELECT position, stream, version, name, recorded_at, state FROM log"
            " WHERE position > ? ORDER BY position LIMIT ?",
            (after, limit),
        )
        return list(map(Record._make, rows))

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        return lambda: None

    def close(self) -> None:
        self._connection.close()


def run(quick: bool) -> list[Result]:
    """One log, rebuilt from nothing in each round."""
    events, rounds = (100_000, 2) if quick else (EVENTS, 3)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.sqlite"
        write_log(log, events)
        log_mb = log.stat().st_size / 1e6
        measured = [_rebuilt(Path(folder)) for _ in range(rounds)]
    rates, peaks_mb, view_mb = (
        [one[key] for one in measured] for key in ("events_per_s", "peak_rss_mb", "view_mb")
    )
    what = f"rebuild of the view from {events:,} events"
    return [
        of_rounds(what, rates, "1/s", RATE_BAR, "higher"),
        of_rounds(f"{what}: peak memory", peaks_mb, "MB", MEMORY_BAR_MB),
        of_rounds("size of the view", view_mb, "MB"),
        Result("size of the log", log_mb, "MB"),
    ]


def _rebuilt(folder: Path) -> dict[str, float]:
    """Runs `rebuild` in a separate process and returns its measurements; the view is removed afterwards."""
    command = [sys.executable, "-m", "benchmarks.bench_rebuild", "--rebuild", str(folder)]
    finished = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    shutil.rmtree(folder / "warehouse")
    results: dict[str, float] = json.loads(finished.stdout)
    return results


def rebuild(folder: Path) -> dict[str, float]:
    """One rebuild in this process, from `<folder>/log.sqlite`."""
    feed = SqliteFeed(folder / "log.sqlite")
    warehouse = Warehouse.open(folder / "warehouse")
    engine = Engine(warehouse, feed, current_plan())
    began = time.perf_counter()
    engine.start()
    engine.rebuilt_blocking()
    seconds = time.perf_counter() - began
    state = engine.state()
    if state.position != feed.head() or state.degraded:
        raise RuntimeError(f"The rebuild did not end as it should: {state}")
    engine.stop()
    warehouse.close()
    feed.close()
    return {
        "events_per_s": feed.head() / seconds,
        "seconds": seconds,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "view_mb": (folder / "warehouse" / "views.duckdb").stat().st_size / 1e6,
    }


def write_log(path: Path, count: int) -> None:
    """A log of `count` events: conversations of ten turns, many at a time, one in fifty deleted again."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(
        "CREATE TABLE log (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER,"
        " name TEXT, recorded_at INTEGER, state BLOB)"
    )
    events = _interleaved(random.Random(7))
    rows = (
        (position, stream, version, name, _START_US + position * 800, state)
        for position, (stream, version, name, state) in zip(range(1, count + 1), events, strict=False)
    )
    with connection:
        connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.close()


def _interleaved(rng: random.Random) -> Iterator[Event]:
    """Sixty-four conversations at a time, without end."""
    clock = iter(range(1 << 40))
    running = [_conversation(rng, clock) for _ in range(64)]
    while True:
        at = rng.randrange(len(running))
        event = next(running[at], None)
        if event is None:
            running[at] = _conversation(rng, clock)
        else:
            yield event


def _conversation(rng: random.Random, clock: Iterator[int]) -> Iterator[Event]:
    agent_id, session_id = _uuid7(rng, clock), _uuid7(rng, clock)
    config = {"model": "openai/gpt-x", "instructions": _text(rng, 30), "max_infer_iters": 10}
    yield _event(f"agent/{agent_id}", 1, "agent.created.1", config=config)
    yield _event(f"session/{session_id}", 1, "session.created.1", agent_id=agent_id, session_name="talk")
    version = 1
    for _ in range(10):
        turn_id = _uuid7(rng, clock)
        yield _event(f"session/{session_id}", version + 1, "session.turn_opened.1", turn_id=turn_id)
        yield from _turn(rng, clock, agent_id, session_id, turn_id)
        version += 2
        yield _event(
            f"session/{session_id}", version, "session.turn_closed.1", turn_id=turn_id, status="completed"
        )
    if rng.random() < 0.02:
        yield _event(f"session/{session_id}", version + 1, "session.deleted.1")


def _turn(
    rng: random.Random, clock: Iterator[int], agent_id: str, session_id: str, turn_id: str
) -> Iterator[Event]:
    stream = f"turn/{turn_id}"
    yield _event(
        stream,
        1,
        "turn.started.1",
        session_id=session_id,
        agent_id=agent_id,
        owner={"node": "node", "boot": "boot"},
        input_messages=[{"role": "user", "content": _text(rng, 12)}],
        stream=True,
    )
    version = 1
    for _ in range(rng.choice((1, 1, 2))):
        step_id = _uuid7(rng, clock)
        kind = {"step_id": step_id, "step_type": "inference"}
        yield _event(
            stream,
            version + 1,
            "turn.step_started.1",
            **kind,
            attempt=1,
            model="openai/gpt-x",
            parameters={"strategy": {"type": "greedy"}, "max_tokens": 512},
            request_digest=rng.randbytes(32).hex(),
        )
        yield _event(
            stream,
            version + 2,
            "turn.step_completed.1",
            **kind,
            output=_message(rng, 25),
            usage={"input_tokens": 200, "output_tokens": 25},
            trace={"lengths": [6] * 20, "delays_ms": [20] * 20},
            response_id=f"chatcmpl-{step_id}",
            response_model="gpt-x-2",
        )
        version += 2
    yield _event(stream, version + 1, "turn.completed.1", output_message=_message(rng, 25))


def _event(key: str, version: int, name: str, **payload: object) -> Event:
    state = {"event": name, "actor": "key", "trace_id": "0af7651916cd43dd8448eb211c80319c", **payload}
    return f"default/{key}", version, name, json.dumps(state, separators=(",", ":")).encode()


def _message(rng: random.Random, words: int) -> dict[str, str]:
    return {"role": "assistant", "content": _text(rng, words), "stop_reason": "end_of_turn"}


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words))


def _uuid7(rng: random.Random, clock: Iterator[int]) -> str:
    milliseconds = _START_US // 1000 + next(clock) * 3
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | rng.getrandbits(76) & ~(3 << 62) | 2 << 62))


def main() -> None:
    if sys.argv[1:2] == ["--rebuild"]:
        print(json.dumps(rebuild(Path(sys.argv[2]))))
        return
    standalone(run, "rebuild", __doc__)


if __name__ == "__main__":
    main()
