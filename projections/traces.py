"""Queries traces: one trace, or those in which each filter matches at least one span."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from projections.filter_sql import Parameters
from projections.span_search import RECENT, STORED, Search
from projections.time_windows import windows
from projections.token_branches import counted, linked
from projections.warehouse.plan import ReadModel
from projections.warehouse.snapshot import Snapshot
from schemas.telemetry_query import OrderKey, SpanFilter, TraceOrder, TraceQuery

READ_MODEL = ReadModel(name="traces", tables=("traces",))

MAX_COUNTED = 1_000_000
"""Maximum number of spans whose tokens are counted for one response."""

_ORDERS: Mapping[TraceOrder, str] = {
    "start_time": "t.start_ns",
    "end_time": "t.end_ns",
    "duration": "coalesce(t.end_ns - t.start_ns, 0)",
    "name": "coalesce(t.top_name, t.first_name)",
    "status": "t.error_count > 0",
    "span_count": "t.span_count",
}
_COLUMNS = """t.trace_id, t.start_ns, t.end_ns, t.span_count, t.error_count, t.first_span_id,
    t.first_parent_span_id IS NULL, t.first_name, t.first_resource_id, t.input_tokens, t.output_tokens, t.models,
    t.is_counted, t.first_number"""


class TraceRow(Struct):
    """A trace. `root_span`, `name` and `resource_id` are those of its root."""

    trace: UUID
    start_ns: int
    end_ns: int | None
    span_count: int
    error_count: int
    root_span: int
    is_certain: bool
    name: str
    resource_id: int
    input_tokens: int | None
    output_tokens: int | None
    models: list[str]
    is_counted: bool
    first_number: int


def found(snapshot: Snapshot, query: TraceQuery, limit: int) -> list[TraceRow]:
    """Returns the traces that match the query, at most `limit`."""
    rows: list[TraceRow] = []
    newest_first = query.order[0] == OrderKey("start_time", descending=True)
    for since in windows(snapshot) if query.filters and newest_first else (None,):
        rows = _found(snapshot, query, limit, since)
        if len(rows) >= limit:
            break
    _correct_roots(snapshot, rows)
    _count_tokens(snapshot, rows)
    return rows


def _found(snapshot: Snapshot, query: TraceQuery, limit: int, since: int | None) -> list[TraceRow]:
    parameters = Parameters()
    conditions = [f"t.trace_id IN ({_with_a_span(one, parameters, since)})" for one in query.filters]
    if since is not None:
        conditions.append(f"t.start_ns >= {parameters.add(since)}")
    sql = (
        f"SELECT {_COLUMNS} FROM now.traces AS t WHERE {' AND '.join(conditions) or 'true'} "
        # Literal numbers: with parameters the database would sort all of them, with all their columns.
        f"ORDER BY {_order(query.order)} LIMIT {limit:d} OFFSET {query.offset:d}"
    )
    return [TraceRow(*row) for row in snapshot.rows(sql, parameters.values)]


def one(snapshot: Snapshot, trace: UUID) -> TraceRow | None:
    """Returns None if the trace does not exist."""
    sql = f"SELECT {_COLUMNS} FROM now.traces AS t WHERE t.trace_id = $trace"
    rows = [TraceRow(*row) for row in snapshot.rows(sql, {"trace": trace})]
    _correct_roots(snapshot, rows)
    _count_tokens(snapshot, rows)
    return rows[0] if rows else None


def _with_a_span(one: SpanFilter, parameters: Parameters, since: int | None) -> str:
    search = Search([one], parameters, since)
    return f"{search.recent('s.trace_id')} UNION ALL {search.stored('s.trace_id')}"


def _order(keys: Sequence[OrderKey]) -> str:
    """Ties are broken, so that pages are consistent."""
    named = [f"{_ORDERS[key.by]} {'DESC' if key.descending else 'ASC'}" for key in keys]
    return ", ".join([*named, "t.start_ns DESC", "t.trace_id"])


_ROOTS = """WITH own AS MATERIALIZED (
    SELECT s.trace_id, s.span_id, s.parent_span_id, s.start_ns, s.name, s.resource_id
    FROM now.spans_recent AS s WHERE s.trace_id IN (SELECT unnest($traces::UUID[]))
    UNION ALL
    SELECT s.trace_id, s.span_id, s.parent_span_id, s.start_ns, s.name, s.resource_id
    FROM now.spans_stored AS s WHERE s.trace_id IN (SELECT unnest($traces::UUID[]))
)
SELECT
    a.trace_id,
    arg_min(
        {'span': a.span_id, 'name': a.name, 'resource': a.resource_id},
        {'start': a.start_ns, 'below': a.parent_span_id IS NOT NULL, 'span': a.span_id}
    )
FROM own AS a
ANTI JOIN own AS b ON a.trace_id = b.trace_id AND a.parent_span_id = b.span_id
GROUP BY a.trace_id"""


def _correct_roots(snapshot: Snapshot, rows: Iterable[TraceRow]) -> None:
    """Corrects the roots. The earliest span is the root if it has no parent. Otherwise the root is the
    earliest span whose parent is missing, or the earliest span if all parents exist (a cycle)."""
    doubtful = {row.trace: row for row in rows if not row.is_certain}
    if not doubtful:
        return
    for trace, root in snapshot.rows(_ROOTS, {"traces": list(doubtful)}):
        row = doubtful[trace]
        row.root_span, row.name, row.resource_id = root["span"], root["name"], root["resource"]


_LINKS = """SELECT s.trace_id, s.span_id, s.parent_span_id, s.start_ns, s.input_tokens, s.output_tokens
FROM {} AS s WHERE s.number >= $first AND s.trace_id IN (SELECT unnest($traces::UUID[]))"""


def _count_tokens(snapshot: Snapshot, rows: Iterable[TraceRow]) -> None:
    """Counts the tokens of traces that had too many spans to be counted on arrival. Beyond `MAX_COUNTED`
    spans in total they remain unknown."""
    wanted: dict[UUID, TraceRow] = {}
    left = MAX_COUNTED
    for row in rows:
        if not row.is_counted and row.span_count <= left:
            left -= row.span_count
            wanted[row.trace] = row
    if not wanted:
        return
    params = {"traces": list(wanted), "first": min(row.first_number for row in wanted.values())}
    sql = " UNION ALL ".join(_LINKS.format(table) for table in (RECENT, STORED))
    found = snapshot.rows(sql, params)
    traces = {trace: place for place, trace in enumerate(wanted)}
    spans = linked([(traces[trace], *link) for trace, *link in found])
    for name, counts in zip(("input_tokens", "output_tokens"), counted(spans), strict=True):
        tokens = getattr(spans, name)
        for place, row in enumerate(wanted.values()):
            own = tokens[counts & (spans.trace == place)].tolist()
            setattr(row, name, min(sum(own), 2**63 - 1) if own else None)


def services(snapshot: Snapshot, resources: Iterable[int]) -> dict[int, str]:
    """Returns the `service.name` of resources that have one."""
    sql = """SELECT resource_id, json_extract_string(attributes, '/service.name') FROM now.telemetry_resources
        WHERE resource_id IN (SELECT unnest($resources::UBIGINT[]))"""
    named = snapshot.rows(sql, {"resources": list(set(resources))})
    return {resource_id: name for resource_id, name in named if name}
