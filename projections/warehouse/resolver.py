"""What a read model may bring to fill in a column of each batch that only earlier records of the log can tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from projections.warehouse.reader import Row


class Resolver(Protocol):
    """Sees the records of one build in order, in one thread. `column` is what it adds to the table `batch`, a text;
    `query` is the query of its read model whose rows say where it stands after a restart."""

    column: ClassVar[str]
    query: ClassVar[str]

    def restore(self, rows: Iterable[Row]) -> None:
        """Begins with what the tables say."""
        ...

    def resolve(self, name: str, id: str | None, state: bytes) -> tuple[bool, str | None]:
        """Whether a record is applied at all, and its value of the column. `name` is without a version; `id` is the last
        part of its stream, None where that has none."""
        ...
