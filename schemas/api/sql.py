"""SQL over the documented views: not part of the Llama Stack specification."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class SqlRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SELECT, or EXPLAIN of one, in DuckDB's dialect. `parameters` are the values of `$1` or `?` as an array, or of
    `$name` as an object. Without `format` the header `Accept` chooses it. `as_of` is a position of the event log or a time
    (RFC 3339). `limit` is the most rows to return, if that is less than the server's setting sql_max_rows."""

    query: Annotated[str, Meta(min_length=1)]
    parameters: list[Any] | dict[str, Any] = []
    format: Literal["json", "ndjson", "csv", "arrow", "parquet"] | None = None
    as_of: int | str | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None


class SqlResultColumn(Struct, frozen=True):
    """`type` is DuckDB's."""

    name: str
    type: str


class SqlResult(Struct, frozen=True):
    """Each row has a value for each column. `truncated` names the limit that cut the rows."""

    columns: list[SqlResultColumn]
    rows: list[list[Any]]
    row_count: int
    truncated: Literal["rows", "bytes"] | None


class SqlColumn(Struct, frozen=True):
    """A column of a view. `unit` is empty for a column without one."""

    name: str
    type: str
    unit: str
    description: str


class SqlView(Struct, frozen=True):
    name: str
    description: str
    columns: list[SqlColumn]


class SqlSchema(Struct, frozen=True):
    """All views that a query may read."""

    dialect: str
    views: list[SqlView]
