"""Queries log records from senders: those that match filters, the newest or the oldest first."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from projections.filter_sql import Parameters, condition
from projections.time_windows import windows
from projections.warehouse.plan import ReadModel
from projections.warehouse.snapshot import Snapshot
from schemas.telemetry_query import AttributeFilter, LogQuery, SpanFilter

READ_MODEL = ReadModel(name="log_records", tables=("log_records",), views=("logs",))

_TIME = "coalesce(l.time_ns, l.observed_ns)"
_COLUMNS = {
    "own": "l.attributes",
    "resource": "r.attributes",
    "body": "l.body",
    "event_name": "l.event_name",
    "severity_text": "l.severity_text",
    "severity": "nullif(l.severity, 0)",
    "time": _TIME,
    "observed_time": "l.observed_ns",
    "trace_id": "l.trace_id",
    "span_id": "l.span_id",
    "scope_name": "nullif(c.name, '')",
    "scope_version": "c.version",
}
_WINDOWS = f"SELECT min({_TIME}), max({_TIME}), count(*) FROM now.log_records AS l"
_ROWS = f"""SELECT
    l.number, {_TIME}, l.observed_ns, l.severity, l.severity_text, l.event_name, l.body, l.attributes,
    replace(l.trace_id::VARCHAR, '-', ''), format('{{:016x}}', l.span_id), l.flags, l.dropped_attributes,
    r.attributes, c.name, c.version, c.attributes
FROM now.log_records AS l
LEFT JOIN now.telemetry_resources AS r ON l.resource_id = r.resource_id
LEFT JOIN now.telemetry_scopes AS c ON l.scope_id = c.scope_id
WHERE l.number BETWEEN $first AND $last AND l.number IN (SELECT unnest($numbers::BIGINT[]))"""


class LogRow(Struct):
    """A log record. `body`, `attributes`, `resource` and `scope_attributes` are JSON texts; times are in
    nanoseconds. `time_ns` is the time of observation if the record has no time."""

    number: int
    time_ns: int | None
    observed_ns: int | None
    severity: int
    severity_text: str | None
    event_name: str | None
    body: str
    attributes: str
    trace_id: str | None
    span_id: str | None
    flags: int
    dropped_attributes: int
    resource: str | None
    scope_name: str | None
    scope_version: str | None
    scope_attributes: str | None


def found(snapshot: Snapshot, query: LogQuery, limit: int, max_bytes: int) -> tuple[list[LogRow], bool]:
    """Returns at most `limit` records (at least one) with at most `max_bytes` of text in total; and whether
    these are all records after the query's offset."""
    keys: list[tuple[int, int]] = []
    for since in windows(snapshot, _WINDOWS) if query.filters and not query.oldest_first else (None,):
        keys = _keys(snapshot, query, limit + 1, since)
        if len(keys) > limit:
            break
    kept: list[int] = []
    size = 0
    for number, row_size in keys[:limit]:
        size += row_size
        if kept and size > max_bytes:
            break
        kept.append(number)
    return _rows(snapshot, kept), len(kept) == len(keys)


def _keys(snapshot: Snapshot, query: LogQuery, limit: int, since: int | None) -> list[tuple[int, int]]:
    """Returns number and size of the records, in order."""
    parameters = Parameters()
    conditions = [_condition(one, parameters) for one in query.filters]
    if since is not None:
        conditions.append(f"{_TIME} >= {parameters.add(since)}")
    direction = "ASC" if query.oldest_first else "DESC"
    sql = (
        "SELECT l.number, strlen(l.body) + strlen(l.attributes) + 200 FROM now.log_records AS l "
        f"WHERE {' AND '.join(f'({one})' for one in conditions) or 'true'} "
        f"ORDER BY {_TIME} {direction} NULLS LAST, l.number {direction} LIMIT {limit:d} OFFSET {query.offset:d}"
    )
    return [(number, size) for number, size in snapshot.rows(sql, parameters.values)]


def _condition(one: SpanFilter, parameters: Parameters) -> str:
    made = condition(one, _COLUMNS, parameters)
    if isinstance(one, AttributeFilter):
        if one.of == "resource":
            return f"l.resource_id IN (SELECT r.resource_id FROM now.telemetry_resources AS r WHERE {made})"
        return made
    if one.field in ("scope_name", "scope_version"):
        return f"l.scope_id IN (SELECT c.scope_id FROM now.telemetry_scopes AS c WHERE {made})"
    return made


def _rows(snapshot: Snapshot, numbers: Sequence[int]) -> list[LogRow]:
    """Returns the rows with these numbers, in this order."""
    if not numbers:
        return []
    params = {"numbers": list(numbers), "first": min(numbers), "last": max(numbers)}
    by_number = {row[0]: LogRow(*row) for row in snapshot.rows(_ROWS, params)}
    return [by_number[number] for number in numbers]
