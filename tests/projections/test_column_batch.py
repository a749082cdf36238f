"""Rows as columns: some of them taken out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.telemetry_columns import Columns
from projections.warehouse.column_batch import Batch, Rows, lists, numbers, texts

COLUMNS: Columns = {"number": "i64", "id": "id", "text": "text", "list": "u64s"}


def batch(values: list[int]) -> Batch:
    buffers = [
        *numbers("i64", values),
        b"".join([value.to_bytes(16, "big") for value in values]),
        *texts([b"x" * (value % 5) for value in values]),
        *lists("u64s", [list(range(value % 3)) for value in values]),
    ]
    return Batch(len(values), buffers)


@given(st.lists(st.integers(0, 4), max_size=5), st.data())
def test_without_rows_is_what_the_others_make(sizes: list[int], data: st.DataObject) -> None:
    values = [list(range(100 * place, 100 * place + size)) for place, size in enumerate(sizes)]
    dropped = data.draw(st.sets(st.integers(0, max(0, sum(sizes) - 1))))
    row, left = 0, []
    for of_batch in values:
        left.append([value for place, value in enumerate(of_batch, row) if place not in dropped])
        row += len(of_batch)
    kept = Rows(COLUMNS, [batch(one) for one in values]).without(dropped)
    assert kept.rows == sum(map(len, left))
    if kept.rows:
        assert kept._merged() == Rows(COLUMNS, [batch(one) for one in left])._merged()


@pytest.mark.parametrize("dropped", [set(), {2}])
def test_batches_that_lose_nothing_are_not_made_again(dropped: set[int]) -> None:
    first, second = batch([0, 1]), batch([2, 3])
    kept = Rows(COLUMNS, [first, second]).without(dropped)
    assert kept._batches[0] is first
    assert (kept._batches[1] is second) == (not dropped)
