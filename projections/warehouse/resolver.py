"""A read model's optional resolver: it fills columns of each batch that depend on earlier records of the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from projections.warehouse.reader import Row

Values = tuple[str | None, ...]


class Resolver(Protocol):
    """Sees the records of one build in order, in one thread. `columns` are those that it adds to the table
    `batch`, texts; `query` is the query of its read model that restores its state after a restart."""

    columns: ClassVar[tuple[str, ...]]
    query: ClassVar[str]

    def restore(self, rows: Iterable[Row]) -> None:
        """Restores the state from the tables."""
        ...

    def resolve(self, name: str, id: str | None, state: bytes) -> tuple[bool, Values]:
        """Returns whether a record is applied at all, and its values of the columns. `name` has no version;
        `id` is the last part of its stream, None if it has none."""
        ...
