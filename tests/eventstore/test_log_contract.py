"""SQLite passes the contract of every event log; so does a log in memory, which shows what the port asks for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.eventstore import BlobStore, EventStore
from tests.eventstore.conftest import OpenLog
from tests.eventstore.log_contract import LogContract
from tests.eventstore.memory_log import Kept, MemoryLog


@pytest.mark.anyio
class TestSqliteLog(LogContract):
    pass


@pytest.mark.anyio
class TestMemoryLog(LogContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Iterator[OpenLog]:
        logs: dict[str, Kept] = defaultdict(Kept)
        opened: list[EventStore] = []

        def open_(name: str = "log", *, clock_us: Callable[[], int] | None = None) -> EventStore:
            blobs = BlobStore(tmp_path / name / "blobs")
            log = MemoryLog(logs[name], blobs, clock_us or (lambda: time.time_ns() // 1_000))
            opened.append(EventStore(log, blobs, 2**20, keep_unnamed_blobs=False))
            return opened[-1]

        yield open_
        for store in opened:
            store.close()
