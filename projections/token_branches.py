"""Determines which tokens of spans count for their trace: on each branch those of the deepest spans that have
any.

An agent's span may repeat the tokens of the model calls under it, and a client's span those of the server
that it called. A span's own count is used only if no span under it has one, so each model call is counted
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from projections.telemetry_columns import NO_COUNT


class LinkedSpans(Struct):
    """Arrays of equal length, with one span per row. `trace` is any integer that identifies the trace; `span`
    and `parent` are uint64 (0: no parent), tokens int64 (NO_COUNT: none)."""

    trace: Any
    span: Any
    parent: Any
    start_ns: Any
    input_tokens: Any
    output_tokens: Any

    @classmethod
    def of(cls, columns: dict[str, Any]) -> LinkedSpans:
        """Creates it from the columns of a query, in this order."""
        import numpy as np

        return cls(*[np.ma.getdata(column) for column in columns.values()])


def linked(rows: Sequence[tuple[int, int, int | None, int, int | None, int | None]]) -> LinkedSpans:
    """Creates it from rows of trace, span, parent, start and tokens; None means missing."""
    import numpy as np

    kinds = (np.int64, np.uint64, np.uint64, np.int64, np.int64, np.int64)
    missing = (0, 0, 0, 0, NO_COUNT, NO_COUNT)
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return LinkedSpans(
        *[
            np.array([none if value is None else value for value in column], dtype=kind)
            for column, kind, none in zip(columns, kinds, missing, strict=True)
        ]
    )


def counted(spans: LinkedSpans) -> tuple[Any, Any]:
    """Returns for each span whether its input tokens count, and whether its output tokens count: two boolean
    arrays.

    Depends on the set of spans only, not on their order. O(n log n), however deep the spans are nested.
    """
    import numpy as np

    jumps = _jumps(spans)
    found = []
    for tokens in (spans.input_tokens, spans.output_tokens):
        has = tokens != NO_COUNT
        below = np.zeros(len(has) + 1, dtype=bool)
        if jumps:
            below[jumps[0][:-1][has]] = True
        for jump in jumps:
            below[jump[below]] = True
        found.append(has & ~below[:-1])
    return found[0], found[1]


def _jumps(spans: LinkedSpans) -> list[Any]:
    """Returns for each row the row 1, 2, 4, ... levels above it, until no row has one. The last row
    represents what is above the top."""
    above = _above(spans)
    jumps, stuck = _doubled(above)
    if len(stuck):
        _cut(above, stuck, spans)
        jumps, _ = _doubled(above)
    return jumps


def _above(spans: LinkedSpans) -> Any:
    """Returns for each row that of its parent. A missing parent, or the span itself, counts as none."""
    import numpy as np

    rows = len(spans.span)
    if not rows:
        return np.zeros(1, dtype=np.int64)
    ids, ranks = np.unique(np.concatenate([spans.span, spans.parent]), return_inverse=True)
    _, traces = np.unique(spans.trace, return_inverse=True)
    own = traces * len(ids) + ranks[:rows]
    parents = traces * len(ids) + ranks[rows:]
    order = np.argsort(own)
    place = np.minimum(np.searchsorted(own, parents, sorter=order), rows - 1)
    row = order[place]
    known = (own[row] == parents) & (own != parents)
    return np.append(np.where(known, row, rows), rows)


def _doubled(above: Any) -> tuple[list[Any], Any]:
    """Returns the jumps, and rows on cycles of parents: at least one row of each cycle."""
    import numpy as np

    top = len(above) - 1
    jumps: list[Any] = []
    jump = above
    for _ in range(top.bit_length() + 1):
        if np.all(jump == top):
            return jumps, ()
        jumps.append(jump)
        jump = jump[jump]
    landed = np.unique(jump)
    return jumps, landed[landed != top]


def _cut(above: Any, stuck: Sequence[int], spans: LinkedSpans) -> None:
    """Removes the parent of the earliest span of each cycle."""
    top = len(above) - 1
    seen: set[int] = set()
    for row in map(int, stuck):
        circle = []
        while row not in seen and row != top:
            seen.add(row)
            circle.append(row)
            row = int(above[row])
        if circle:
            above[min(circle, key=lambda one: (spans.start_ns[one], spans.span[one]))] = top
