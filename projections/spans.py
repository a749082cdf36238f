"""Queries spans: one span, those of a trace, those that match filters, and descendants of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from projections.filter_sql import Parameters
from projections.span_search import RECENT, STORED, Search, is_looked_up
from projections.time_windows import windows
from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import Row
from projections.warehouse.snapshot import Snapshot
from schemas.telemetry_query import SpanFilter

READ_MODEL = ReadModel(
    name="spans",
    tables=("telemetry_resources", "telemetry_scopes", "spans_recent", "runs"),
    views=("spans_stored", "span_pairs", "spans"),
    # 2: columns are filled from more conventions. 3: the tables of sealed files, which are not in this SQL.
    version=3,
)

MAX_NUMBERED = 1024
"""Maximum number of spans read by number in one query; the database uses its index for up to 2,048."""
LARGE_BYTES = 16_384
"""Larger texts, in bytes, are read only after the number of returned rows is known."""

_ROW = f"""s.number, s.trace_id, s.span_id, s.parent_span_id, s.name, s.status, s.start_ns, s.end_ns, s.size,
    CASE WHEN s.size <= {LARGE_BYTES} THEN s.attributes END"""
_NEWEST_FIRST = "ORDER BY start_ns DESC, trace_id, span_id"


class SpanRow(Struct):
    """A stored span. `attributes` is JSON text; for a large span it is None until `fill` has read it."""

    number: int
    trace: UUID
    span: int
    parent: int | None
    name: str
    status: int
    start_ns: int
    end_ns: int | None
    size: int
    attributes: str | None

    @property
    def trace_id(self) -> str:
        return self.trace.hex

    @property
    def span_id(self) -> str:
        return f"{self.span:016x}"


class SpanKey(NamedTuple):
    """Identifies spans and orders them."""

    trace: UUID
    span: int
    parent: int | None
    start_ns: int
    number: int


def one(snapshot: Snapshot, trace: UUID, span: int) -> SpanRow | None:
    """Returns a span of a trace; None if it does not exist."""
    found = _rows(snapshot, _both("s.trace_id = $trace AND s.span_id = $span"), trace=trace, span=span)
    return found[0] if found else None


def of_trace(snapshot: Snapshot, trace: UUID, limit: int) -> list[SpanRow]:
    """Returns spans of a trace in no particular order, at most `limit`."""
    return _rows(snapshot, f"{_both('s.trace_id = $trace')} LIMIT $limit", trace=trace, limit=limit)


def newest_trace_with(snapshot: Snapshot, span: int) -> UUID | None:
    """Returns the trace that contains this span; if several do, the one in which it started last."""
    sql = _both("s.span_id = $span", "s.trace_id, s.start_ns")
    rows = snapshot.rows(f"{sql} ORDER BY start_ns DESC LIMIT 1", {"span": span})
    return rows[0][0] if rows else None


def keys(snapshot: Snapshot, traces: Iterable[UUID], limit: int, first: int = 0) -> list[SpanKey]:
    """Returns the keys of the spans of these traces, at most `limit`. None of them has a number below `first`."""
    columns = "s.trace_id, s.span_id, s.parent_span_id, s.start_ns, s.number"
    sql = _both(f"s.number >= {first:d} AND s.trace_id IN (SELECT unnest($traces::UUID[]))", columns)
    rows = snapshot.rows(f"{sql} LIMIT $limit", {"traces": list(traces), "limit": limit})
    return [SpanKey(*row) for row in rows]


def newest(snapshot: Snapshot, filters: Sequence[SpanFilter], limit: int) -> list[SpanRow]:
    """Returns the newest spans that match all filters."""
    if all(is_looked_up(one) for one in filters) and filters:
        return _newest(snapshot, filters, limit, None)
    rows: list[SpanRow] = []
    for since in windows(snapshot):
        rows = _newest(snapshot, filters, limit, since)
        if len(rows) >= limit:
            break
    return rows


def _newest(
    snapshot: Snapshot, filters: Sequence[SpanFilter], limit: int, since: int | None
) -> list[SpanRow]:
    parameters = Parameters()
    search = Search(filters, parameters, since)
    if search.is_of_pairs and limit <= MAX_NUMBERED:
        return _newest_by_pairs(snapshot, search, parameters, limit)
    sql = f"{search.recent(_ROW)} UNION ALL {search.stored(_ROW, limit)}"
    # A literal number: with a parameter the database would sort all of them, with all their columns.
    rows = snapshot.rows(f"{sql} {_NEWEST_FIRST} LIMIT {limit:d}", parameters.values)
    return [SpanRow(*row) for row in rows]


def _newest_by_pairs(snapshot: Snapshot, search: Search, parameters: Parameters, limit: int) -> list[SpanRow]:
    """The index of pairs determines the spans; only their rows are read."""
    recent = snapshot.rows(f"{search.recent(_ROW)} {_NEWEST_FIRST} LIMIT {limit:d}", parameters.values)
    hits = snapshot.rows(search.newest_numbers(limit), parameters.values)
    rows = [SpanRow(*row) for row in recent] + _numbered(snapshot, STORED, [number for (number,) in hits])
    return sorted(rows, key=lambda row: (-row.start_ns, row.trace, row.span))[:limit]


def keys_of_matching(snapshot: Snapshot, filters: Sequence[SpanFilter], limit: int) -> list[SpanKey]:
    """Returns the keys of spans that match all filters, the earliest first."""
    parameters = Parameters()
    count = parameters.add(limit)
    search = Search(filters, parameters)
    columns = "s.trace_id, s.span_id, s.parent_span_id, s.start_ns, s.number"
    sql = f"{search.recent(columns)} UNION ALL {search.stored(columns)}"
    rows = snapshot.rows(f"{sql} ORDER BY start_ns, trace_id, span_id LIMIT {count}", parameters.values)
    return [SpanKey(*row) for row in rows]


def numbered(snapshot: Snapshot, wanted: Sequence[int]) -> list[SpanRow]:
    """Returns the rows with these numbers, in no particular order."""
    return [*_numbered(snapshot, RECENT, wanted), *_numbered(snapshot, STORED, wanted)]


def _numbered(snapshot: Snapshot, table: str, wanted: Sequence[int]) -> list[SpanRow]:
    return [
        SpanRow(*row)
        for some in _in_parts(wanted)
        for row in snapshot.rows(_select(table, _is_one_of(some)), {})
    ]


def fill(snapshot: Snapshot, rows: Sequence[SpanRow], max_bytes: int) -> list[SpanRow]:
    """Returns the first rows, at least one, with a total of at most `max_bytes`; reads the texts of large
    ones."""
    kept: list[SpanRow] = []
    size = 0
    for row in rows:
        size += row.size
        if kept and size > max_bytes:
            break
        kept.append(row)
    large = {row.number: row for row in kept if row.attributes is None}
    if large:
        for some in _in_parts(list(large)):
            sql = _both(_is_one_of(some), "s.number, s.attributes")
            for number, attributes in snapshot.rows(sql, {}):
                large[number].attributes = attributes
    return kept


def _rows(snapshot: Snapshot, sql: str, **params: object) -> list[SpanRow]:
    return [SpanRow(*row) for row in snapshot.rows(sql, params)]


def _in_parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Splits the numbers into groups of the size that one query may have."""
    for first in range(0, len(numbers), MAX_NUMBERED):
        yield numbers[first : first + MAX_NUMBERED]


def _is_one_of(numbers: Sequence[int]) -> str:
    # Literal numbers: the index is used for constants only.
    return f"s.number IN ({', '.join([format(number, 'd') for number in numbers])})"


def _both(where: str, columns: str = _ROW) -> str:
    """Returns a select over recent and stored spans."""
    return f"{_select(RECENT, where, columns)} UNION ALL {_select(STORED, where, columns)}"


def _select(table: str, where: str, columns: str = _ROW) -> str:
    return f"SELECT {columns} FROM {table} AS s WHERE {where}"


class SpanDetailsRow(NamedTuple):
    """The columns that `SpanRow` omits. All texts are JSON, except the status message, the scope and its
    version."""

    number: int
    kind: int
    trace_state: str | None
    status_message: str | None
    events: str | None
    links: str | None
    resource: str | None
    scope_name: str | None
    scope_version: str | None
    scope_attributes: str | None
    operation: str | None
    provider: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None


_DETAILS = """SELECT d.number, d.kind, d.trace_state, d.status_message, d.events, d.links, r.attributes, c.name, c.version,
    c.attributes, d.operation_name, d.provider_name, coalesce(d.response_model, d.request_model), d.input_tokens, d.output_tokens
FROM ({}) AS d
LEFT JOIN now.telemetry_resources AS r ON d.resource_id = r.resource_id
LEFT JOIN now.telemetry_scopes AS c ON d.scope_id = c.scope_id"""


def details(snapshot: Snapshot, wanted: Sequence[int]) -> dict[int, SpanDetailsRow]:
    """Returns the details by span number."""
    columns = (
        "s.number, s.kind, s.trace_state, s.status_message, s.events, s.links, s.resource_id, s.scope_id, "
        "s.operation_name, s.provider_name, s.response_model, s.request_model, s.input_tokens, s.output_tokens"
    )
    rows: list[Row] = []
    for some in _in_parts(wanted):
        rows += snapshot.rows(_DETAILS.format(_both(_is_one_of(some), columns)), {})
    return {row[0]: SpanDetailsRow(*row) for row in rows}
