"""Series put together from streams, against sums made by hand."""

import math
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.api.telemetry import MetricLabel
from telemetry.query.metric_series import Part, RawPoint, Stream, labels_of, merged, number, raw_series

A, B = (("model", "a"),), (("model", "b"),)

parts = st.lists(
    st.builds(
        Part, st.integers(0, 3), st.integers(0, 3), st.integers(-9, 9), st.integers(0, 3), st.integers(0, 9)
    )
)


@pytest.mark.slow
@given(parts)
def test_streams_of_one_label_set_add_up(found: list[Part]) -> None:
    streams = {number: Stream(A if number % 2 else B, "1", "sum") for number in range(4)}
    expected: defaultdict[tuple[str, int], float] = defaultdict(float)
    for part in found:
        if part.weight:
            expected["a" if part.stream % 2 else "b", part.at_s] += part.value
    got = {
        (series.labels[0].value, point.timestamp): point.value
        for series in merged("m", streams, found)
        for point in series.values
    }
    assert got == expected


@pytest.mark.slow
@given(parts)
def test_means_are_weighted(found: list[Part]) -> None:
    streams = {number: Stream(A, "1", "mean") for number in range(4)}
    got = {point.timestamp: point.value for series in merged("m", streams, found) for point in series.values}
    assert set(got) == {part.at_s for part in found if part.weight}
    for at_s, value in got.items():
        alike = [part for part in found if part.at_s == at_s and part.weight]
        assert value == pytest.approx(sum(p.value for p in alike) / sum(p.weight for p in alike))


def test_the_latest_counts_for_a_gauge() -> None:
    streams = {1: Stream(A, "s", "last"), 2: Stream(A, "s", "last")}
    [series] = merged(
        "m", streams, [Part(2, 60, 5.0, 1, 100), Part(1, 60, 7.0, 1, 200), Part(2, 0, 1.0, 1, 50)]
    )
    assert [(point.timestamp, point.value, point.unit) for point in series.values] == [
        (0, 1.0, "s"),
        (60, 7.0, "s"),
    ]
    assert series.metric == "m" and series.labels == [MetricLabel("model", "a")]


def test_a_metric_that_changed_its_type_is_what_it_was_last() -> None:
    streams = {1: Stream(A, "1", "sum"), 2: Stream(A, "s", "last"), 3: Stream(A, "1", "sum")}
    found = [
        Part(1, 0, 5, 1, 10),
        Part(3, 0, 2, 1, 11),
        Part(1, 60, 5, 1, 70),
        Part(2, 60, 9, 1, 90),
        Part(2, 120, 8, 1, 130),
    ]
    [series] = merged("m", streams, found)
    assert [(point.timestamp, point.value, point.unit) for point in series.values] == [
        (0, 7, "1"),
        (60, 9, "s"),
        (120, 8, "s"),
    ]


def test_points_as_they_came() -> None:
    streams = {1: Stream(A, "s", "last"), 2: Stream(A, "s", "last"), 3: Stream(B, "s", "last")}
    points = [
        RawPoint(1, 2_500_000_000, 2.5),
        RawPoint(2, 1_999_999_999, math.nan),
        RawPoint(3, 0, -math.inf),
    ]
    first, second = raw_series("m", streams, points)
    assert [(point.timestamp, point.value) for point in first.values] == [(1, "NaN"), (2, 2.5)]
    assert [(point.timestamp, point.value) for point in second.values] == [(0, "-Infinity")]


def test_labels_are_texts() -> None:
    found = labels_of({"b": 1, "a": "x", "c": True, "d": 1.5, "e": [1, "y"], "f": None})
    assert found == (("a", "x"), ("b", "1"), ("c", "true"), ("d", "1.5"), ("e", '[1,"y"]'), ("f", "null"))


def test_numbers() -> None:
    assert number(math.inf) == "Infinity" and number(2**63 - 1) == 2**63 - 1 and number(0.5) == 0.5
