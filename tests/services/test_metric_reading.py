"""Metrics from the store, against sums made by hand over random points: totals that are reset, differences, gauges,
histograms, several streams of one series, any granularity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.api.telemetry import MetricLabelMatcher, MetricSeries, QueryMetricsRequest
from stack.errors import Invalid
from stack.services.telemetry import metric_reading
from telemetry.query.metric_query import metric_query
from tests.telemetry.stored_telemetry import StoredTelemetry

pytestmark = [pytest.mark.slow, pytest.mark.long]

BASE_S = 1_790_000_000
NS = 10**9
LABELS: list[dict[str, Any]] = [{"model": "a"}, {"model": "b", "code": 200}]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredTelemetry]:
    made = StoredTelemetry(tmp_path_factory.mktemp("metrics"))
    yield made
    made.close()


def ask(store: StoredTelemetry, metric: str = "m", **asked: Any) -> list[MetricSeries]:
    request = QueryMetricsRequest(
        **({"query_type": "range", "start_time": BASE_S, "end_time": BASE_S + 10_000} | asked)
    )
    query = metric_query(metric, request, BASE_S + 20_000)
    with store.warehouse.snapshot() as snapshot:
        return metric_reading.read(snapshot, query)


def values(series: list[MetricSeries]) -> dict[tuple[tuple[tuple[str, str], ...], int], Any]:
    """By labels and time."""
    found = {}
    for one in series:
        labels = tuple((label.name, label.value) for label in one.labels)
        times = [point.timestamp for point in one.values]
        assert times == sorted(times)
        for point in one.values:
            found[labels, point.timestamp] = point.value
    return found


class Point(NamedTuple):
    """Seconds from the base."""

    time_s: float
    start_s: float
    value: float


class Stream(NamedTuple):
    labels: int
    points: list[Point]


@st.composite
def totals(draw: st.DrawFn) -> Stream:
    """A counter that rises, is reset with a new start or without one, or does not say its start."""
    unknown_start = draw(st.booleans())
    start, value, time = draw(st.integers(-8_000, 500)), 0, 0.0
    points = []
    time = float(start)
    for _ in range(draw(st.integers(0, 8))):
        time += draw(st.integers(1, 6_000)) / 4
        kind = draw(st.sampled_from(["more", "more", "more", "reset", "silent reset"]))
        if kind == "more":
            value += draw(st.integers(0, 9))
        elif kind == "reset":
            start, value = int(time), draw(st.integers(0, 9))
            time += 1
        else:
            value = draw(st.integers(0, value))
        points.append(Point(time, 0 if unknown_start else start, value))
    return Stream(draw(st.integers(0, 1)), points)


def increases(points: list[Point]) -> list[tuple[float, float]]:
    """By hand: time, and what was counted since the point before."""
    found = []
    before: Point | None = None
    for point in points:
        if before is None:
            more = 0.0 if point.start_s == 0 else point.value
        elif point.start_s != before.start_s or point.value < before.value:
            more = point.value
        else:
            more = point.value - before.value
        found.append((point.time_s, more))
        before = point
    return found


def start_ns(point: Point) -> int:
    return 0 if point.start_s == 0 else int((BASE_S + point.start_s) * NS)


def time_ns(point: Point) -> int:
    return int((BASE_S + point.time_s) * NS)


def labels_of(stream: Stream) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in LABELS[stream.labels].items()))


times = st.tuples(st.integers(-3_000, 3_000), st.integers(0, 6_000), st.integers(1, 5_000))
relaxed = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bucket(time_s: float, first: int, last: int, step: int | None) -> int | None:
    """The bucket of a time, by hand; None outside of what was asked for."""
    second = int(BASE_S + time_s // 1)
    if not first <= second <= last:
        return None
    return last if step is None else second // step * step


@relaxed
@given(st.lists(totals(), max_size=4), times, st.booleans())
def test_totals(
    store: StoredTelemetry, streams: list[Stream], time: tuple[int, int, int], instant: bool
) -> None:
    store.clear()
    store.add_streams(
        [(n, "m", "1", "sum", "cumulative", True, LABELS[one.labels]) for n, one in enumerate(streams)]
    )
    rows = [
        (n, time_ns(p), start_ns(p), p.value, p.value if n % 2 else None)
        for n, one in enumerate(streams)
        for p in one.points
    ]
    store.add_rows("metric_points", rows[::-1])
    first, length, step = time
    first += BASE_S
    asked = {"start_time": first, "end_time": first + length, "granularity": f"{step}s"}
    found = values(ask(store, **asked, query_type="instant" if instant else "range"))
    expected: defaultdict[Any, float] = defaultdict(float)
    for one in streams:
        for at, more in increases(one.points):
            place = bucket(at, first, first + length, None if instant else step)
            if place is not None:
                expected[labels_of(one), place] += more
    assert found == expected


@relaxed
@given(st.lists(totals(), max_size=4), times)
def test_histograms_that_send_totals(
    store: StoredTelemetry, streams: list[Stream], time: tuple[int, int, int]
) -> None:
    """The counter is the count; each value is as large as its stream's number, so the mean is a weighted one."""
    store.clear()
    store.add_streams(
        [(n, "h", "s", "histogram", "cumulative", True, LABELS[one.labels]) for n, one in enumerate(streams)]
    )
    store.add_rows(
        "metric_histograms",
        [
            (
                n,
                time_ns(p),
                start_ns(p),
                int(p.value),
                p.value * (n + 1.0),
                None,
                None,
                [1.0, 2.5],
                [int(p.value), 0, 0],
            )
            for n, one in enumerate(streams)
            for p in one.points
        ],
    )
    first, length, step = time
    first += BASE_S
    asked = {"start_time": first, "end_time": first + length, "granularity": f"{step}s"}
    counts: defaultdict[Any, float] = defaultdict(float)
    sums: defaultdict[Any, float] = defaultdict(float)
    for n, one in enumerate(streams):
        for at, more in increases(one.points):
            place = bucket(at, first, first + length, step)
            if place is not None:
                counts[labels_of(one), place] += more
                sums[labels_of(one), place] += more * (n + 1)
    assert values(ask(store, "h_count", **asked)) == counts
    assert values(ask(store, "h_sum", **asked)) == pytest.approx(sums)
    means = {key: sums[key] / count for key, count in counts.items() if count}
    assert values(ask(store, "h", **asked)) == pytest.approx(means)
    buckets = values(ask(store, "h_bucket", **asked))
    expected = {
        (tuple(sorted((*labels, ("le", le)))), at): count
        for (labels, at), count in counts.items()
        for le in ("1", "2.5", "+Inf")
    }
    assert {key: value for key, value in buckets.items() if value} == {
        key: value for key, value in expected.items() if value
    }
    assert set(buckets) <= set(expected)


@relaxed
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(-9, 9)), max_size=20), times)
def test_differences_gauges_and_levels(
    store: StoredTelemetry, points: list[tuple[int, int, int]], time: tuple[int, int, int]
) -> None:
    """Points of each stream at different times; those of a difference are sent twice."""
    unique = {(stream, at * 10 + stream): value for stream, at, value in points}
    first, length, step = time
    first += BASE_S
    asked = {"start_time": first, "end_time": first + length, "granularity": f"{step}s"}
    kinds = {
        "delta": ("sum", "delta", True),
        "gauge": ("gauge", None, False),
        "level": ("sum", "cumulative", False),
    }
    for name, (kind, temporality, monotonic) in kinds.items():
        store.clear()
        store.add_streams([(n, name, "1", kind, temporality, monotonic, LABELS[n % 2]) for n in range(4)])
        rows = [
            (stream, (BASE_S + at) * NS, (BASE_S - 1) * NS, value, value)
            for (stream, at), value in unique.items()
        ]
        store.add_rows("metric_points", rows + rows if name == "delta" else rows)
        inside: defaultdict[Any, list[tuple[int, int, int]]] = defaultdict(list)
        for (stream, at), value in unique.items():
            place = bucket(at, first, first + length, step)
            if place is not None:
                inside[labels_of(Stream(stream % 2, [])), place].append((at, stream, value))
        expected = {}
        for key, found in inside.items():
            if name == "delta":
                expected[key] = sum(value for _, _, value in found)
            elif name == "gauge":
                expected[key] = max(found)[2]
            else:
                latest = {stream: value for _, stream, value in sorted(found)}
                expected[key] = sum(latest.values())
        assert values(ask(store, name, **asked)) == expected, name


def test_points_as_they_came(store: StoredTelemetry) -> None:
    store.clear()
    store.add_streams(
        [
            (1, "m", "By", "sum", "cumulative", True, LABELS[0]),
            (2, "m", "By", "gauge", None, False, LABELS[1]),
        ]
    )
    store.add_rows(
        "metric_points",
        [
            (1, BASE_S * NS + 999, 5, 3.0, 2**63 - 1),
            (1, (BASE_S - 1) * NS, 5, 1.0, 1),
            (1, BASE_S * NS, 5, 2.0, 2),
            (2, (BASE_S + 1) * NS + 500_000_000, 0, float("nan"), None),
        ],
    )
    two, one = ask(store, end_time=BASE_S + 1)
    assert [(p.timestamp, p.value, p.unit) for p in one.values] == [
        (BASE_S, 2, "By"),
        (BASE_S, 2**63 - 1, "By"),
    ]
    assert [(p.timestamp, p.value) for p in two.values] == [(BASE_S + 1, "NaN")]
    assert ask(store, end_time=BASE_S - 0)[0].values == one.values
    store.add_streams([(3, "h", "s", "histogram", "delta", True, {})])
    store.add_rows(
        "metric_histograms",
        [(3, BASE_S * NS, 0, 4, 10.0, None, None, [1.0], [3, 1]), (3, BASE_S * NS + 1, 0, 0, 0.0)],
    )
    assert [p.value for p in ask(store, "h")[0].values] == [2.5]
    assert [p.value for p in ask(store, "h_count")[0].values] == [4, 0]
    assert [p.value for p in ask(store, "h_sum")[0].values] == [10.0, 0.0]
    assert {one.labels[0].value: next(p.value for p in one.values) for one in ask(store, "h_bucket")} == {
        "1": 3,
        "+Inf": 4,
    }


def test_labels_are_matched(store: StoredTelemetry) -> None:
    store.clear()
    store.add_streams([(n, "m", "1", "gauge", None, False, LABELS[n]) for n in range(2)])
    store.add_streams([(5, "h", "1", "histogram", "delta", True, {})])
    store.add_rows("metric_points", [(n, BASE_S * NS, 0, 1.0, None) for n in range(2)])
    store.add_rows("metric_histograms", [(5, BASE_S * NS, 0, 3, 1.0, None, None, [1.0, 5.0], [1, 1, 1])])

    def found(metric: str = "m", *matchers: tuple[str, Any, str]) -> list[dict[str, str]]:
        made = [
            MetricLabelMatcher(name=name, operator=operator, value=value)
            for name, operator, value in matchers
        ]
        return [
            {label.name: label.value for label in one.labels}
            for one in ask(store, metric, label_matchers=made)
        ]

    assert found() == [{"code": "200", "model": "b"}, {"model": "a"}]
    assert found("m", ("model", "=", "a")) == [{"model": "a"}]
    assert found("m", ("code", "=~", "2..")) == [{"code": "200", "model": "b"}]
    assert found("m", ("code", "!~", "2.*")) == [{"model": "a"}]
    assert found("m", ("code", "=", "")) == [{"model": "a"}]
    assert found("m", ("model", "=", "c")) == []
    assert found("h_bucket", ("le", "!=", "+Inf")) == [{"le": "1"}, {"le": "5"}]
    assert found("nothing") == found("nothing_count") == found("m_count") == []


def test_more_points_than_can_be_returned(store: StoredTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_reading, "MAX_POINTS", 5)
    store.clear()
    store.add_streams([(1, "m", "1", "sum", "delta", True, {})])
    store.add_rows("metric_points", [(1, (BASE_S + n) * NS, 0, 1.0, None) for n in range(6)])
    for asked in ({}, {"granularity": "1s"}):
        with pytest.raises(Invalid, match="more than 5 points"):
            ask(store, **asked)
    assert [p.value for p in ask(store, granularity="1d")[0].values] == [6.0]


def test_a_metric_that_changed_its_type(store: StoredTelemetry) -> None:
    store.clear()
    store.add_streams([(1, "m", "1", "sum", "delta", True, {}), (2, "m", "s", "gauge", None, False, {})])
    store.add_rows("metric_points", [(1, BASE_S * NS, 0, 5.0, None), (2, (BASE_S + 70) * NS, 0, 9.0, None)])
    step = 60
    [series] = ask(store, granularity="60s")
    at = BASE_S // step * step
    assert [(p.timestamp, p.value, p.unit) for p in series.values] == [
        (at, 5.0, "1"),
        ((BASE_S + 70) // step * step, 9.0, "s"),
    ]
