"""Test feeds: logs for tests of the read side. They are followed like the event log, and are not it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from projections.warehouse.feed import Record

START_US = 1_790_000_000_000_000


class ListFeed:
    """A test feed in memory. `redact` replaces states in place, as the event log's redaction does."""

    def __init__(self, epoch: str = "epoch-1") -> None:
        self._epoch = epoch
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self._versions: dict[str, int] = {}
        self._wakes: list[Callable[[int], None]] = []
        self.reads = 0

    @property
    def epoch(self) -> str:
        return self._epoch

    def head(self) -> int:
        return len(self._records)

    def read(self, after: int, limit: int) -> Sequence[Record]:
        self.reads += 1
        return self._records[after : after + limit]

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def append(self, *events: tuple[str, str, dict[str, Any] | bytes]) -> int:
        """Appends (stream without tenant, name, payload) in one commit; returns the last position."""
        with self._lock:
            for key, name, payload in events:
                stream = f"default/{key}"
                version = self._versions.get(stream, 0) + 1
                self._versions[stream] = version
                position = len(self._records) + 1
                self._records.append(
                    Record(position, stream, version, name, START_US + position, encode(name, payload))
                )
            head = len(self._records)
        for wake in list(self._wakes):
            wake(head)
        return head

    def redact(self, streams: set[str], keep: str = "") -> None:
        """Redacts all events of the streams (without tenant), except those named `keep`."""
        with self._lock:
            self._records = [
                record._replace(state=b'{"event":"redacted"}')
                if record.stream.removeprefix("default/") in streams and record.name != keep
                else record
                for record in self._records
            ]

    def truncate(self, head: int) -> None:
        """Cuts the log: what a restored older copy of it looks like."""
        with self._lock:
            del self._records[head:]


class FileFeed:
    """A test feed in an SQLite file, for processes that are killed. One writer, durable at each append."""

    def __init__(self, path: Path, epoch: str = "epoch-1") -> None:
        self._path = path
        self._epoch = epoch
        self._wakes: list[Callable[[int], None]] = []
        self._writer = self._connect()
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.execute(
            "CREATE TABLE IF NOT EXISTS log (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER,"
            " name TEXT, recorded_at INTEGER, state BLOB)"
        )
        self._reader = self._connect()
        (self._head,) = self._writer.execute("SELECT coalesce(max(position), 0) FROM log").fetchone()

    @property
    def epoch(self) -> str:
        return self._epoch

    def head(self) -> int:
        return int(self._head)

    def read(self, after: int, limit: int) -> Sequence[Record]:
        rows = self._reader.execute(
            "SELECT * FROM log WHERE position > ? ORDER BY position LIMIT ?", (after, limit)
        )
        return [Record(*row) for row in rows]

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def append(self, *events: tuple[str, str, dict[str, Any] | bytes]) -> int:
        with self._writer:
            for key, name, payload in events:
                self._head += 1
                self._writer.execute(
                    "INSERT INTO log VALUES (?, ?, 1, ?, ?, ?)",
                    (self._head, f"default/{key}", name, START_US + self._head, encode(name, payload)),
                )
        for wake in list(self._wakes):
            wake(self._head)
        return int(self._head)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, check_same_thread=False)


def encode(name: str, payload: dict[str, Any] | bytes) -> bytes:
    if isinstance(payload, bytes):
        return payload
    return json.dumps({"event": name, **payload}, ensure_ascii=False).encode()
