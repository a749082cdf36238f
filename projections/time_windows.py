"""The newest spans first, in windows of time that grow: what is asked for is mostly among the newest, and what cannot
be looked up costs half a second for a million spans."""

from __future__ import annotations

from collections.abc import Iterator

from projections.snapshot import Snapshot

FIRST_SPANS = 65_536
"""About how many spans lie in the first window; each other one is so much longer."""
GROWTH = 8


def windows(snapshot: Snapshot) -> Iterator[int | None]:
    """Beginnings of windows that end with the newest span, in nanoseconds; the last one, None, has no beginning.

    All spans of a trace begin with it or later, so a window holds the whole of each trace that begins in it.
    """
    sql = "SELECT min(start_ns), max(start_ns), sum(span_count)::BIGINT FROM now.traces"
    [(first, last, spans)] = snapshot.rows(sql, {})
    if spans:
        length = (last - first) * FIRST_SPANS // spans
        while 0 < length < (last - first):
            yield last - length
            length *= GROWTH
    yield None
