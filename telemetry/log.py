"""The telemetry log: requests as they were received and checked, durable, in the order of their positions.

It is the truth of the store, which is rebuilt from it as far back as it goes.

LogError
├── LogFailed      nothing of an append was stored: the disk is full or fails
└── LogDamaged     what was stored cannot be read any more
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

Signal = Literal["traces", "metrics", "logs"]
Encoding = Literal["protobuf", "json"]
Compression = Literal["identity", "gzip", "deflate"]


class Entry(Struct, frozen=True):
    """A request. `body` is an OTLP export request of `signal`, compressed as it came; `received_ns` since 1970."""

    signal: Signal
    encoding: Encoding
    compression: Compression
    received_ns: int
    body: bytes


class LogError(Exception):
    """The root of the log's errors."""


class LogFailed(LogError):
    """An append could not be written. Nothing of it was stored; a later one may succeed."""


class LogDamaged(LogError):
    """Entries cannot be read. `after` and `before` are the positions of the nearest ones that may be readable."""

    def __init__(self, reason: str, after: int, before: int) -> None:
        super().__init__(reason)
        self.after = after
        self.before = before


class TelemetryLog(Protocol):
    """Positions begin with 1 and rise by one, through all restarts. One thread appends at a time; any thread reads."""

    @property
    def epoch(self) -> str:
        """The id of this log, made when it was created."""
        ...

    def first(self) -> int:
        """The position of the oldest entry that is kept; `head() + 1` when none is."""
        ...

    def head(self) -> int:
        """The position of the last durable entry, 0 before the first. Cheap: no I/O."""
        ...

    def append(self, entries: Sequence[Entry]) -> int:
        """Makes all entries durable, or none; returns the position of the last one. Blocks. Raises LogFailed."""
        ...

    def read(self, after: int, max_bytes: int) -> list[tuple[int, Entry]]:
        """The durable entries behind `after` in order, as many as have at most `max_bytes` together, one at least; none
        only at the end. Begins with the oldest one where `after` is no longer kept. Blocks. Raises LogDamaged."""
        ...

    def size_bytes(self) -> int:
        """What the kept entries take on disk."""
        ...

    def expired(self, received_before_ns: int, max_bytes: int) -> int:
        """The position before which entries should go: those that were received earlier, and the oldest ones beyond
        `max_bytes`. Never the newest entries that lie together with younger ones; at most `head() + 1`."""
        ...

    def drop_before(self, position: int) -> None:
        """Removes entries before `position`, or most of them. Blocks."""
        ...

    def close(self) -> None: ...
