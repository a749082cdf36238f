"""A read model's optional resolver: it fills a column of each batch that depends on earlier records of the
log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from projections.warehouse.reader import Row


class Resolver(Protocol):
    """Sees the records of one build in order, in one thread. `column` is the column that it adds to the table
    `batch`, a text; `query` is the query of its read model that restores its state after a restart."""

    column: ClassVar[str]
    query: ClassVar[str]

    def restore(self, rows: Iterable[Row]) -> None:
        """Restores the state from the tables."""
        ...

    def resolve(self, name: str, id: str | None, state: bytes) -> tuple[bool, str | None]:
        """Returns whether a record is applied at all, and its value of the column. `name` has no version;
        `id` is the last part of its stream, None if it has none."""
        ...
