"""The protocols of a follower: the log that it reads, and the tables that it keeps up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from projections.warehouse.fresh_file import FreshFile
from projections.warehouse.transaction import File


class Positioned(Protocol):
    @property
    def position(self) -> int: ...


Record_co = TypeVar("Record_co", bound=Positioned, covariant=True)
Record_contra = TypeVar("Record_contra", contravariant=True)
T = TypeVar("T")


class Source(Protocol[Record_co]):
    """A log with increasing positions, as one follower reads it."""

    def head(self) -> int:
        """Returns the last position, 0 if empty. No I/O."""
        ...

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Calls `wake(head)` when there is more to read, from any thread; returns a function that ends
        this."""
        ...

    def due(self, position: int, since: float, *, is_awaited: bool) -> float:
        """Returns when the records after `position` should be applied, on the monotonic clock. They have
        waited since `since` for others to share a transaction; `is_awaited` is whether a reader waits for
        them. No I/O; called often."""
        ...

    def read(self, after: int, *, in_bulk: bool) -> Sequence[Record_co]:
        """Returns the records of the next transaction, in order; `in_bulk` while no tables are served. The
        last one is at the head if nothing else can be read. Blocks. Raises the errors of the log."""
        ...

    def applied(self, position: int, took_s: float) -> None:
        """The served tables contain everything up to `position`; the last transaction took `took_s`
        seconds."""
        ...


class Tables(Protocol[Record_contra]):
    """The tables of one file, which contain a log up to `position`. Applied by one thread."""

    @property
    def position(self) -> int: ...

    @property
    def can_be_copied(self) -> bool:
        """Returns whether a copy may replace them, so that the log need not be read again."""
        ...

    def prepare(self, records: Sequence[Record_contra], /) -> Any:
        """Prepares the next records for `apply`. Called in their order, possibly from another thread while
        the previous records are being applied."""
        ...

    def apply(self, prepared: Any, /) -> None:
        """Applies records and stores their position. A record that the database refuses is recorded and
        skipped. Raises StorageFailed; then a first part of the records may have been applied."""
        ...

    def store_position(self) -> None:
        """Stores the position, if it advanced without a transaction."""
        ...


class Opened(NamedTuple, Generic[T]):
    """`is_whole` means that reads may be served; otherwise the tables are new, and served once they have
    caught up with the log. `is_outdated` means that new tables must be built from the log to replace them."""

    tables: T
    is_whole: bool
    is_outdated: bool


class Target(Protocol[T]):
    """Opens and replaces the tables of one file of the warehouse. Raises StorageFailed and
    StatementRefused."""

    @property
    def file(self) -> File: ...

    def open(self) -> Opened[T]:
        """Returns the tables of the log in the file, or new ones. Raises LogBehindView if the log has lost
        events that they contain."""
        ...

    def tables_in(self, fresh: FreshFile) -> T:
        """Returns the tables in a new file: those of its copy, or empty ones."""
        ...

    def finish(self, tables: T, fresh: FreshFile | None) -> None:
        """Called when new tables have caught up: in a new file that is about to replace the other, or in the
        file itself."""
        ...

    def answer(self, tables: T) -> None:
        """Directs reads to these tables, which are in the warehouse's own file by now."""
        ...

    def tidy(self, *, in_bulk: bool) -> None:
        """Called after each transaction."""
        ...
