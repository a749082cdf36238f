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
    """A log whose positions rise, as one follower reads it."""

    def head(self) -> int:
        """The last position, 0 when empty. No I/O."""
        ...

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Calls `wake(head)` when there is more to read, from any thread; returns a function that ends it."""
        ...

    def due(self, position: int, since: float, *, is_awaited: bool) -> float:
        """When the records after `position` are to be applied, on the monotonic clock: they have waited `since` then for
        more to share a transaction with, and `is_awaited` says whether a reader waits for them. No I/O; called often."""
        ...

    def read(self, after: int, *, in_bulk: bool) -> Sequence[Record_co]:
        """The records of the next transaction, in order; `in_bulk` while no one reads the tables. The last one is at the
        head if nothing else can be read. Blocks. Raises what the log raises."""
        ...

    def applied(self, position: int, took_s: float) -> None:
        """The tables that are served hold everything up to `position`; the last transaction took so long."""
        ...


class Tables(Protocol[Record_contra]):
    """The tables of one file that hold a log up to `position`. One thread applies."""

    @property
    def position(self) -> int: ...

    @property
    def can_be_copied(self) -> bool:
        """Whether a copy may take their place, so that the log need not be read again."""
        ...

    def prepare(self, records: Sequence[Record_contra], /) -> Any:
        """What `apply` takes of the next records. Called in their order, perhaps from another thread while the records
        before them are being applied."""
        ...

    def apply(self, prepared: Any, /) -> None:
        """Applies records and stores the position they reach. A record that the database refuses is recorded and passed
        over. Raises StorageFailed; then a first part of the records may have been applied."""
        ...

    def store_position(self) -> None:
        """Stores the position, if it moved without a transaction."""
        ...


class Opened(NamedTuple, Generic[T]):
    """`is_whole`: reads may go there; else the tables are new, and do when they have caught up with the log.
    `is_outdated`: new ones are to be built from the log, to take their place."""

    tables: T
    is_whole: bool
    is_outdated: bool


class Target(Protocol[T]):
    """Opens and exchanges the tables of one file of the warehouse. Raises StorageFailed and StatementRefused."""

    @property
    def file(self) -> File: ...

    def open(self) -> Opened[T]:
        """The tables of the log that the file holds, or new ones. Raises LogBehindView where the log has lost what they
        hold."""
        ...

    def tables_in(self, fresh: FreshFile) -> T:
        """The tables in a new file: those of its copy, or empty ones."""
        ...

    def finish(self, tables: T, fresh: FreshFile | None) -> None:
        """New tables have caught up: in a new file that is about to take the place of the other, or in the file itself."""
        ...

    def answer(self, tables: T) -> None:
        """Makes reads go to these tables, which are in the warehouse's own file by now."""
        ...

    def tidy(self, *, in_bulk: bool) -> None:
        """Called after each transaction."""
        ...
