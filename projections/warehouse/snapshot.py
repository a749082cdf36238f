"""A consistent snapshot of telemetry, for several related statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from projections.warehouse.plan import in_schema
from projections.warehouse.reader import Row


class Snapshot:
    """Reads within one transaction. SQL is written for the placeholder schema `now`."""

    def __init__(self, read: Callable[[str, Mapping[str, Any]], list[Row]], schema: str) -> None:
        self._read = read
        self._schema = schema

    def rows(self, sql: str, params: Mapping[str, Any]) -> list[Row]:
        """Blocks. `sql` must not contain text from a caller: keys and values belong in `params`."""
        return self._read(in_schema(sql, self._schema), params)
