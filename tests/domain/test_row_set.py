"""A set of rows is what a set of numbers would be, at a size that does not grow with the rows."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from stack.domain.row_set import RowSet

rows = st.lists(st.integers(0, 60), max_size=60)


@given(added=rows, count=st.integers(0, 80))
def test_it_is_a_set(added: list[int], count: int) -> None:
    found, expected = RowSet(), set()
    for row in added:
        found = found.added(row)
        expected.add(row)
        assert len(found) == len(expected)
        assert found.ahead & 1 == 0
    assert {row for row in range(100) if row in found} == expected
    assert list(found.missing(count)) == [row for row in range(count) if row not in expected]


def test_rows_that_are_done_in_order_take_no_room() -> None:
    done = RowSet()
    for row in range(10_000):
        done = done.added(row)
    assert done == RowSet(10_000, 0)
    assert sys.getsizeof(done.added(18_000).ahead) < 2_000
