"""Selects the engine of the event log: the only module that depends on a particular one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from stack.eventstore.blobs import BlobStore
from stack.eventstore.port import LogPlace
from stack.eventstore.sqlite.place import SqlitePlace
from stack.eventstore.store import DEFAULT_CACHE_BYTES, EventStore


def log_place(folder: Path) -> LogPlace:
    """Returns the location of the event log of a data folder, which need not exist."""
    return SqlitePlace(folder)


def _now_us() -> int:
    return time.time_ns() // 1_000


def open_store(
    folder: Path,
    *,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    clock_us: Callable[[], int] = _now_us,
    keep_unnamed_blobs: bool = False,
) -> EventStore:
    """Opens the log of a data folder, creating it if it does not exist. `clock_us` returns microseconds since
    1970. Blobs that no event names are deleted unless `keep_unnamed_blobs`. Raises Unavailable if the log
    cannot be opened."""
    blobs = BlobStore(folder / "blobs")
    log = log_place(folder).open(blobs, clock_us)
    return EventStore(log, blobs, cache_bytes, keep_unnamed_blobs=keep_unnamed_blobs)
