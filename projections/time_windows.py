"""The newest spans first, in windows of time that grow: what is asked for is mostly among the newest, and what cannot
be looked up costs half a second for a million spans."""

from __future__ import annotations

from collections.abc import Iterator

from projections.warehouse.snapshot import Snapshot

FIRST_SPANS = 65_536
"""About how many spans lie in the first window; each other one is so much longer."""
GROWTH = 8


SPANS = "SELECT min(start_ns), max(start_ns), sum(span_count)::BIGINT FROM now.traces"


def windows(snapshot: Snapshot, sql: str = SPANS) -> Iterator[int | None]:
    """Beginnings of windows that end with the newest span, in nanoseconds; the last one, None, has no beginning. `sql`
    tells the first and last time of what is searched, and how many there are.

    All spans of a trace begin with it or later, so a window holds the whole of each trace that begins in it.
    """
    [(first, last, count)] = snapshot.rows(sql, {})
    if count and first is not None:
        length = (last - first) * FIRST_SPANS // count
        while 0 < length < (last - first):
            yield last - length
            length *= GROWTH
    yield None
