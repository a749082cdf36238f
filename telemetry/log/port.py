"""The protocol of the telemetry log: all received requests, in the order of receipt, until their retention
ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import product
from time import gmtime, strftime
from typing import Literal, NamedTuple, Protocol, get_args

from msgspec import Struct

Signal = Literal["traces", "metrics", "logs"]
Encoding = Literal["protobuf", "json"]
Compression = Literal["identity", "gzip", "deflate"]


class Content(NamedTuple):
    """The kind of a request as it was received."""

    signal: Signal
    encoding: Encoding = "protobuf"
    compression: Compression = "identity"


CONTENTS = tuple([Content(*held) for held in product(*map(get_args, (Signal, Encoding, Compression)))])
"""In the order of the numbers on disk, which are permanent."""


class TelemetryLogError(Exception):
    """The log cannot store or return requests."""


class LogFull(TelemetryLogError):
    """Too much data is waiting to be written; retry in a second."""


class LogFailed(TelemetryLogError):
    """Writing failed, or the log is closed; nothing of the request was kept."""


class Entry(NamedTuple):
    """One request. `position` increases by one; `recorded_at` is microseconds since 1970 and never decreases;
    `body` is the request as it was received, compressed or not."""

    position: int
    recorded_at: int
    content: Content
    body: bytes


class Damage(Struct, frozen=True):
    """`size` bytes at `offset` of `file` cannot be read; the requests at positions `first` to `last` are not
    in the log. No request is affected if `last` is less than `first`, and no bytes are present if `size` is
    0."""

    file: str
    offset: int
    size: int
    first: int
    last: int

    def __str__(self) -> str:
        place = f"{self.size} bytes at {self.offset} of {self.file} are damaged; " if self.size else ""
        if self.last < self.first:
            return f"{place}no request is lost"
        one = self.first == self.last
        positions = f"position {self.first} is" if one else f"positions {self.first} to {self.last} are"
        return f"{place}{positions} not in the log"


class Accepted(Struct, frozen=True):
    """Damages that were accepted together, and when (RFC 3339, UTC)."""

    at: str
    damages: tuple[Damage, ...]

    @classmethod
    def now(cls, damages: Iterable[Damage]) -> Accepted:
        return cls(strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()), tuple(damages))

    def covers(self, damage: Damage) -> bool:
        """Returns whether all bytes and positions of `damage` were accepted."""
        return any(
            one.file == damage.file
            and one.offset <= damage.offset
            and damage.offset + damage.size <= one.offset + one.size
            and (damage.last < damage.first or one.first <= damage.first <= damage.last <= one.last)
            for one in self.damages
        )

    def without(self, until: int) -> Accepted:
        """Returns only what affects positions after `until`."""
        return Accepted(self.at, tuple(one for one in self.damages if max(one.first, one.last) > until))


class TelemetryLog(Protocol):
    @property
    def epoch(self) -> str:
        """The id of this copy of the log. If it changes, what was built from the log is rebuilt."""
        ...

    def first(self) -> int:
        """Returns the oldest position that still exists; the head plus one if there is none."""
        ...

    def head(self) -> int:
        """Returns the last position that is on disk, 0 if there never was one. No I/O."""
        ...

    def append(self, content: Content, body: bytes) -> Future[int]:
        """Passes a request to the writer; the future returns its position once it is on disk, or raises
        LogFailed. Thread-safe; never blocks. Raises LogFull."""
        ...

    def read(self, after: int, max_bytes: int) -> Sequence[Entry]:
        """Returns the requests after `after` in order: at least one if there is one, and then up to
        `max_bytes`. Removed and damaged requests are skipped. Blocks. Raises LogFailed."""
        ...

    def size(self) -> int:
        """Returns the number of bytes on disk. No I/O."""
        ...

    def damages(self) -> Sequence[Damage]:
        """Returns the known damage and losses, in the order of positions. No I/O."""
        ...

    def accepted(self) -> Sequence[Accepted]:
        """Returns which damages were accepted, and when. No I/O."""
        ...

    def accept_loss(self) -> None:
        """Checks everything written before the last start, and accepts all damage. Blocks. Raises OSError."""
        ...

    def check(self) -> Iterator[None]:
        """Checks everything written before the last start for damage, a part at each step. Blocks. Raises
        OSError."""
        ...

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Calls `wake(head)` after each write, from the writer's thread; returns a function that ends
        this."""
        ...

    def trim(self, before_us: int, max_bytes: int, until: int) -> None:
        """Removes the oldest requests: those recorded before `before_us`, and those that exceed a total of
        `max_bytes`; never requests after position `until`, and never the newest ones."""
        ...

    def erase(self, edit: Callable[[Entry], bytes | None], *, everywhere: bool) -> list[str]:
        """Removes damaged bytes and their copies, after checking everything written before the last start for
        damage. With `everywhere`, bodies of requests are replaced first by the result of `edit`, which has
        the same length; None leaves a body unchanged. Returns texts that name the removed damage. Blocks.
        Raises LogFailed."""
        ...

    def close(self) -> None:
        """Writes what was accepted and ends. Idempotent."""
        ...
