"""Buckets of histograms, against the values that were counted."""

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.query.histogram_buckets import HistogramPoint, bucketed, counts_of, increase, le_text, raw
from telemetry.query.metric_series import Stream

NS = 10**9
values = st.lists(st.floats(1e-3, 1e3).flatmap(lambda v: st.sampled_from([v, -v, 0.0])), max_size=20)


def exponential(found: list[float], scale: int, time_s: int = 0, start_s: int = 1) -> HistogramPoint:
    """The histogram of the values, made by hand: at the finest scale, so that a value at a bound is on one side of it
    at all of them."""
    finest = 6
    base = 2.0 ** (2.0**-finest)

    def side(sign: int) -> tuple[int, list[int]]:
        index = Counter(
            (math.ceil(math.log(v * sign, base)) - 1) >> (finest - scale) for v in found if v * sign > 0
        )
        if not index:
            return 0, []
        low, high = min(index), max(index)
        return low, [index[number] for number in range(low, high + 1)]

    (positive_offset, positive), (negative_offset, negative) = side(1), side(-1)
    return HistogramPoint(
        1,
        time_s * NS,
        start_s * NS,
        len(found),
        math.fsum(found),
        scale=scale,
        zero_count=sum(v == 0 for v in found),
        positive_offset=positive_offset,
        positive_counts=positive,
        negative_offset=negative_offset,
        negative_counts=negative,
    )


def check(counts: Any, found: list[float]) -> None:
    """As many values lie up to each bound as the counts say; within rounding of a value that lies at a bound."""
    total = 0.0
    for bound in sorted(counts):
        total += counts[bound]
        close = 1e-9 * max(1.0, abs(bound))
        assert sum(v <= bound - close for v in found) <= total <= sum(v <= bound + close for v in found)
    assert total == len(found)


@pytest.mark.slow
@given(values, st.integers(-3, 6))
def test_an_exponential_histogram_has_bounds_like_any_other(found: list[float], scale: int) -> None:
    point = exponential(found, scale)
    check(counts_of(point), found)
    for coarser in range(scale - 3, scale):
        check(counts_of(point, coarser), found)


@pytest.mark.slow
@given(values, values, st.integers(-2, 5), st.integers(0, 3))
def test_what_came_since_the_point_before(
    first: list[float], more: list[float], scale: int, drop: int
) -> None:
    """The later point may be coarser: a histogram that has too many buckets joins them."""
    before, after = exponential(first, scale), exponential(first + more, scale - drop)
    found = {bound: count for bound, count in increase(before, after).items() if count}
    check(found, more)


@pytest.mark.slow
@given(st.lists(st.lists(st.floats(0, 10), max_size=5), max_size=5), st.booleans())
def test_explicit_bounds(batches: list[list[float]], delta: bool) -> None:
    bounds = [1.0, 2.5, 5.0]

    def point(found: list[float], time_s: int) -> HistogramPoint:
        counts = Counter(sum(v > bound for bound in bounds) for v in found)
        return HistogramPoint(
            1, time_s * NS, NS, len(found), sum(found), bounds, [counts[n] for n in range(4)]
        )

    points, so_far = [], list[float]()
    for number, batch in enumerate(batches):
        so_far = so_far + batch
        points.append(point(batch if delta else so_far, number + 2))
    streams = {1: Stream((("a", "b"),), "s", "sum")}
    made, parts = bucketed(streams, points, {}, frozenset() if delta else frozenset((1,)), 2 * NS, None)
    found = {(dict(made[part.stream].labels)["le"], part.at_s): part.value for part in parts}
    for number in range(0, len(batches), 2):
        both = [v for batch in batches[number : number + 2] for v in batch]
        at = (number + 2) // 2 * 2
        for le, bound in (("1", 1.0), ("2.5", 2.5), ("5", 5.0), ("+Inf", math.inf)):
            assert found[le, at] == sum(v <= bound for v in both)
    assert all(dict(stream.labels)["a"] == "b" for stream in made.values())


def test_counting_that_began_anew() -> None:
    first = HistogramPoint(1, 5, 1, 3, 1.0, [1.0], [2, 1])
    assert increase(None, first) == {1.0: 2, math.inf: 1}
    assert increase(None, HistogramPoint(1, 5, 0, 3, 1.0, [1.0], [2, 1])) == {}
    assert increase(first, HistogramPoint(1, 6, 6, 1, 1.0, [1.0], [1, 0])) == {1.0: 1, math.inf: 0}
    assert increase(first, HistogramPoint(1, 6, 1, 1, 1.0, [1.0], [0, 1])) == {1.0: 0, math.inf: 1}
    assert increase(first, HistogramPoint(1, 6, 1, 5, 1.0, [1.0], [3, 2])) == {1.0: 1, math.inf: 1}
    assert increase(first, HistogramPoint(1, 6, 1, 5, 1.0, [2.0], [3, 2])) == {2.0: 3, math.inf: 2}


def test_points_that_were_sent_twice_and_points_as_they_came() -> None:
    point = HistogramPoint(1, 5, 1, 3, 1.0, [1.0], [2, 1])
    streams = {1: Stream((), "s", "sum")}
    _, parts = bucketed(streams, [point, point], {}, frozenset(), None, 100)
    assert sorted(part.value for part in parts) == [2, 3] and {part.at_s for part in parts} == {100}
    made, points = raw(streams, [point])
    assert [(dict(made[one.stream].labels)["le"], one.value) for one in points] == [("1", 2), ("+Inf", 3)]
    assert counts_of(HistogramPoint(1, 5, 1, 3, 1.0)) == {math.inf: 3}


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (1.0, "1"),
        (0.005, "0.005"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (1e20, "1e+20"),
        (-2.0, "-2"),
        (0.0, "0"),
    ],
)
def test_le(bound: float, text: str) -> None:
    assert le_text(bound) == text


def test_bounds_beyond_all_numbers() -> None:
    point = HistogramPoint(
        1,
        5,
        1,
        2,
        1.0,
        scale=-10,
        positive_offset=5,
        positive_counts=[1],
        negative_offset=5,
        negative_counts=[1],
    )
    assert counts_of(point) == {math.inf: 1, -math.inf: 1}
