"""Searches spans in growing windows of time, the newest first: most queries ask for recent spans, and a
search without an index takes half a second per million spans."""

from __future__ import annotations

from collections.abc import Iterator

from projections.warehouse.snapshot import Snapshot

FIRST_SPANS = 65_536
"""Approximate number of spans in the first window; the following ones grow by a constant factor."""
GROWTH = 8


SPANS = "SELECT min(start_ns), max(start_ns), sum(span_count)::BIGINT FROM now.traces"


def windows(snapshot: Snapshot, sql: str = SPANS) -> Iterator[int | None]:
    """Yields the beginnings of windows that end with the newest span, in nanoseconds; the last one, None, has
    no beginning. `sql` selects the first and last time of the searched rows, and their number.

    All spans of a trace begin with it or later, so a window holds the whole of each trace that begins in it.
    """
    [(first, last, count)] = snapshot.rows(sql, {})
    if count and first is not None:
        length = (last - first) * FIRST_SPANS // count
        while 0 < length < (last - first):
            yield last - length
            length *= GROWTH
    yield None
