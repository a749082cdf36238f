"""Answers queries of traces and spans from the store. Everything here blocks and uses one consistent
snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from projections import spans as span_views
from projections import traces as trace_views
from projections.spans import SpanKey, SpanRow
from projections.traces import TraceRow
from projections.warehouse.snapshot import Snapshot
from schemas.telemetry_query import SpanFilter, TraceQuery
from telemetry.query.span_tree import Link, descendants

MAX_TRACES = 100_000
"""Maximum number of traces in one response, even if all are requested."""
MAX_TREE_SPANS = 10_000
MAX_ANSWER_BYTES = 64 * 2**20
"""Maximum size in bytes of the texts of the spans in one response."""
MAX_LINKS = 500_000
"""Maximum number of spans whose parents are read for one response."""
FEW_SPANS = 1_000
"""Traces of up to this many spans are read at once, larger ones after it is known which spans are needed."""


class Found(NamedTuple):
    """Rows, and whether these are all."""

    rows: list[SpanRow]
    complete: bool


def traces(snapshot: Snapshot, query: TraceQuery) -> tuple[list[TraceRow], bool]:
    """Returns the traces that match the query, and whether these are all of them."""
    wanted = MAX_TRACES if query.limit is None else min(query.limit, MAX_TRACES)
    cut = query.limit is None or query.limit > MAX_TRACES
    rows = trace_views.found(snapshot, query, wanted + cut)
    return rows[:wanted], len(rows) <= wanted


def newest(snapshot: Snapshot, filters: Sequence[SpanFilter], max_depth: int | None, max_spans: int) -> Found:
    """Returns the newest spans that match all filters; with a depth above 1 also their descendants."""
    rows = span_views.newest(snapshot, filters, max_spans + 1)
    complete = len(rows) <= max_spans
    if max_depth is not None and max_depth > 1 and rows:
        rows, whole = _with_descendants(snapshot, rows, max_depth, max_spans)
        complete = complete and whole
    kept = span_views.fill(snapshot, rows[:max_spans], MAX_ANSWER_BYTES)
    return Found(kept, complete and len(kept) == len(rows[:max_spans]))


def _with_descendants(
    snapshot: Snapshot, rows: list[SpanRow], max_depth: int, max_spans: int
) -> tuple[list[SpanRow], bool]:
    keys, complete = _descendants(snapshot, [(row.trace, row.span) for row in rows], max_depth)
    known = {row.number: row for row in rows}
    keys.sort(key=lambda key: (-key.start_ns, key.trace, key.span))
    missing = [key.number for key in keys[:max_spans] if key.number not in known]
    known |= {row.number: row for row in span_views.numbered(snapshot, missing)}
    return [known[key.number] for key in keys[:max_spans]], complete and len(keys) <= max_spans


def matching_keys(
    snapshot: Snapshot, filters: Sequence[SpanFilter], max_depth: int | None, limit: int
) -> list[SpanKey]:
    """Returns the keys of all spans that match all filters and of their descendants, the earliest first; more
    than `limit` if there are more."""
    keys = span_views.keys_of_matching(snapshot, filters, limit + 1)
    if max_depth is not None and max_depth > 1 and 0 < len(keys) <= limit:
        keys, _ = _descendants(snapshot, [(key.trace, key.span) for key in keys], max_depth)
        keys.sort(key=lambda key: (key.start_ns, key.trace, key.span))
    return keys


def _descendants(
    snapshot: Snapshot, tops: Sequence[tuple[UUID, int]], max_depth: int
) -> tuple[list[SpanKey], bool]:
    """Returns the keys of these spans and of their descendants, and whether these are all."""
    keys = span_views.keys(snapshot, {trace for trace, _ in tops}, MAX_LINKS)
    by_span = {(key.trace, key.span): key for key in keys}
    tree = descendants(_links(keys), tops, max_depth, MAX_LINKS)
    return [by_span[one] for one in tree.levels if one in by_span], len(keys) < MAX_LINKS


def _links(keys: Iterable[SpanKey]) -> list[Link[tuple[UUID, int]]]:
    return [
        Link(
            (key.trace, key.span),
            None if key.parent is None else (key.trace, key.parent),
            key.start_ns,
        )
        for key in keys
    ]


def tree(snapshot: Snapshot, trace: UUID, span: int, max_depth: int | None) -> Found:
    """Returns a span and its descendants, each span before its own descendants."""
    rows = span_views.of_trace(snapshot, trace, FEW_SPANS + 1)
    if len(rows) <= FEW_SPANS:
        links = [Link(row.span, row.parent, row.start_ns) for row in rows]
        levels = descendants(links, [span], max_depth, MAX_TREE_SPANS)
        by_span = {row.span: row for row in rows}
    else:
        keys = span_views.keys(snapshot, [trace], MAX_LINKS)
        links = [Link(key.span, key.parent, key.start_ns) for key in keys]
        levels = descendants(links, [span], max_depth, MAX_TREE_SPANS)
        numbers = [key.number for key in keys if key.span in levels.levels]
        by_span = {row.span: row for row in span_views.numbered(snapshot, numbers)}
    wanted = [by_span[one] for one in levels.levels if one in by_span]
    kept = span_views.fill(snapshot, wanted, MAX_ANSWER_BYTES)
    return Found(kept, levels.complete and len(kept) == len(wanted))


def of_trace(snapshot: Snapshot, trace: UUID) -> Found:
    """Returns the spans of a trace ordered by time; no rows if the trace does not exist."""
    rows = span_views.of_trace(snapshot, trace, FEW_SPANS + 1)
    complete = True
    if len(rows) > FEW_SPANS:
        keys = sorted(span_views.keys(snapshot, [trace], MAX_LINKS), key=lambda key: (key.start_ns, key.span))
        complete = len(keys) <= MAX_TREE_SPANS
        rows = span_views.numbered(snapshot, [key.number for key in keys[:MAX_TREE_SPANS]])
    rows.sort(key=lambda row: (row.start_ns, row.span))
    kept = span_views.fill(snapshot, rows, MAX_ANSWER_BYTES)
    return Found(kept, complete and len(kept) == len(rows))
