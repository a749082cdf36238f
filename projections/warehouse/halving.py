"""Finds the single records that the database refuses, so that they do not block others."""

from __future__ import annotations

from collections.abc import Callable

from projections.warehouse.errors import StatementRefused


def apply_in_halves(
    first: int,
    end: int,
    apply: Callable[[int, int], None],
    pass_over: Callable[[int, StatementRefused], None],
) -> None:
    """Applies the records from `first` to before `end` at once. If the database refuses that, applies each
    half separately, down to a single record, which is skipped."""
    try:
        apply(first, end)
    except StatementRefused as refused:
        if end - first == 1:
            pass_over(first, refused)
            return
        middle = (first + end) // 2
        apply_in_halves(first, middle, apply, pass_over)
        apply_in_halves(middle, end, apply, pass_over)
