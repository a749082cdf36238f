"""The protocol of the telemetry log: whatever was received, in the order of receipt, until its retention is over."""

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
    """What a request is, as it came."""

    signal: Signal
    encoding: Encoding = "protobuf"
    compression: Compression = "identity"


CONTENTS = tuple([Content(*held) for held in product(*map(get_args, (Signal, Encoding, Compression)))])
"""In the order of the numbers on disk, which are for ever."""


class TelemetryLogError(Exception):
    """The log cannot take or give requests."""


class LogFull(TelemetryLogError):
    """Too much waits to be written; come back in a second."""


class LogFailed(TelemetryLogError):
    """The disk refused, or the log is closed; nothing of the request was kept."""


class Entry(NamedTuple):
    """One request. `position` rises by one; `recorded_at` is microseconds since 1970 and never falls; `body` is the
    request as it came, compressed or not."""

    position: int
    recorded_at: int
    content: Content
    body: bytes


class Damage(Struct, frozen=True):
    """`size` bytes at `offset` of `file` cannot be read; the requests at positions `first` to `last` are not in the log.
    No request is affected if `last` is below `first`, and no bytes are there if `size` is 0."""

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
    """What was accepted together, and when (RFC 3339, UTC)."""

    at: str
    damages: tuple[Damage, ...]

    @classmethod
    def now(cls, damages: Iterable[Damage]) -> Accepted:
        return cls(strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()), tuple(damages))

    def covers(self, damage: Damage) -> bool:
        """Whether all bytes and positions of `damage` were accepted."""
        return any(
            one.file == damage.file
            and one.offset <= damage.offset
            and damage.offset + damage.size <= one.offset + one.size
            and (damage.last < damage.first or one.first <= damage.first <= damage.last <= one.last)
            for one in self.damages
        )

    def without(self, until: int) -> Accepted:
        """Only what affects positions after `until`."""
        return Accepted(self.at, tuple(one for one in self.damages if max(one.first, one.last) > until))


class TelemetryLog(Protocol):
    @property
    def epoch(self) -> str:
        """The id of this copy of the log. Another id: what was built from the log is rebuilt."""
        ...

    def first(self) -> int:
        """The oldest position that is still there; one behind the head where none is."""
        ...

    def head(self) -> int:
        """The last position that is on disk, 0 when nothing ever was. No I/O."""
        ...

    def append(self, content: Content, body: bytes) -> Future[int]:
        """Hands a request to the writer; the future has its position once it is on disk, or raises LogFailed.
        Any thread; never blocks. Raises LogFull."""
        ...

    def read(self, after: int, max_bytes: int) -> Sequence[Entry]:
        """The requests behind `after` in order: at least one if there is one, and then up to `max_bytes`. What is no
        longer there is passed over. Blocks. Raises LogFailed."""
        ...

    def size(self) -> int:
        """Bytes on disk. No I/O."""
        ...

    def damages(self) -> Sequence[Damage]:
        """What is known to be damaged or missing, in the order of positions. No I/O."""
        ...

    def accepted(self) -> Sequence[Accepted]:
        """Which damages were accepted, and when. No I/O."""
        ...

    def accept_loss(self) -> None:
        """Reads what was written before the last start, and accepts all damage. Blocks. Raises OSError."""
        ...

    def check(self) -> Iterator[None]:
        """Looks for damage in what was written before the last start, a part at each step. Blocks. Raises OSError."""
        ...

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Calls `wake(head)` after each write, from the writer's thread; returns a function that ends it."""
        ...

    def trim(self, before_us: int, max_bytes: int, until: int) -> None:
        """Removes the oldest requests: those recorded before `before_us`, and what is above `max_bytes` altogether;
        never one behind position `until`, and never the newest ones."""
        ...

    def erase(self, edit: Callable[[Entry], bytes | None], *, everywhere: bool) -> list[str]:
        """Removes damaged bytes and their copies, after having looked for damage in all that was written before the last
        start. With `everywhere`, replaces bodies of requests first, by what `edit` returns for them, of the same length;
        None leaves one as it is. Returns texts that name what damage was removed. Blocks. Raises LogFailed."""
        ...

    def close(self) -> None:
        """Writes what was accepted and ends. Idempotent."""
        ...
