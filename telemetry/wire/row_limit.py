"""Limits the number of elements in a request. A few compressed bytes can hold ten million empty spans, or
values of a list, which take gigabytes once decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from projections.telemetry_columns import NUMBERS_PER_POSITION
from telemetry.wire.refusals import TooLarge

MAX_ROWS = NUMBERS_PER_POSITION
"""Maximum number of rows in one request, and of values within one attribute."""

_SLICE_ROWS = 4096


class RowLimit:
    """Counts the elements of a request, named `what`. Raises TooLarge for more than MAX_ROWS."""

    def __init__(self, what: str = "rows") -> None:
        self._what = what
        self._count = 0

    def add(self, count: int) -> None:
        self._count += count
        if self._count > MAX_ROWS:
            raise TooLarge(f"The request has more than {MAX_ROWS} {self._what}. Send less at a time.")

    def slices(self, values: Sequence[Any] | None) -> Iterator[Sequence[Any]]:
        """Yields the values in slices of some thousand, so that intermediate results stay small."""
        if not values:
            return
        self.add(len(values))
        if len(values) <= _SLICE_ROWS:
            yield values
            return
        for first in range(0, len(values), _SLICE_ROWS):
            yield values[first : first + _SLICE_ROWS]
