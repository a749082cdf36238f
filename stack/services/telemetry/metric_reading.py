"""Answers a query of a metric from the store: how each kind of stream is read, and the metrics derived from
histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from projections import metrics as metric_views
from projections.metrics import StreamRow, TimeSpan
from projections.warehouse.reader import Row
from projections.warehouse.snapshot import Snapshot
from schemas.api.telemetry import MetricSeries
from stack.errors import Invalid
from telemetry.query import histogram_buckets, metric_series
from telemetry.query.histogram_buckets import HistogramPoint
from telemetry.query.label_matcher import Matcher
from telemetry.query.metric_query import NS, MetricQuery
from telemetry.query.metric_series import Part, RawPoint, Stream, Way, label_text, labels_of

MAX_POINTS = 100_000
HISTOGRAMS = ("histogram", "exponential_histogram", "summary")
SUFFIXES = ("_count", "_sum", "_bucket")
LE = "le"
COUNT_UNIT = "1"


def read(snapshot: Snapshot, query: MetricQuery) -> list[MetricSeries]:
    """Returns one series for each set of labels; none for an unknown metric. Raises Invalid if there are more
    points than can be returned. Blocks."""
    found, suffix = _streams(snapshot, query.metric)
    early = [one for one in query.matchers if suffix != "_bucket" or one.name != LE]
    found = [row for row in found if _matches(row, early)]
    if not found:
        return []
    if suffix == "_bucket":
        series = _buckets(snapshot, query, found)
        late = [one for one in query.matchers if one.name == LE]
        return [one for one in series if _series_matches(one, late)]
    if query.step_s is None and not query.instant:
        return _raw(snapshot, query, found, suffix)
    streams: dict[int, Stream] = {}
    parts: list[Part] = []
    for read_rows, way, rows in _readings(snapshot, query, found, suffix):
        ids = [row.stream_id for row in rows]
        streams |= {row.stream_id: _stream(row, way, suffix) for row in rows}
        parts += _bounded([Part(*part) for part in read_rows(ids)])
    return metric_series.merged(query.metric, streams, _bounded(parts))


def _streams(snapshot: Snapshot, metric: str) -> tuple[list[StreamRow], str]:
    """Returns the streams of a name, or of the histogram from which it is derived by a suffix."""
    found = metric_views.streams(snapshot, metric)
    if found:
        return found, ""
    for suffix in SUFFIXES:
        if metric.endswith(suffix):
            rows = metric_views.streams(snapshot, metric.removesuffix(suffix))
            return [row for row in rows if row.kind in HISTOGRAMS], suffix
    return [], ""


Reading = tuple[Callable[[Sequence[int]], Iterable[tuple[Any, ...]]], Way, list[StreamRow]]


def _readings(
    snapshot: Snapshot, query: MetricQuery, found: Sequence[StreamRow], suffix: str
) -> list[Reading]:
    """Returns the ways in which the streams are read, each with its streams."""
    time = _time(query)

    def histogram(delta: bool) -> Callable[[Sequence[int]], Iterable[tuple[Any, ...]]]:
        return lambda ids: _of_histogram(
            metric_views.histogram_sums(snapshot, ids, time, delta=delta), suffix
        )

    ways: dict[str, tuple[Callable[[Sequence[int]], Iterable[tuple[Any, ...]]], Way]] = {
        "gauge": (lambda ids: metric_views.last_values(snapshot, ids, time), "last"),
        # A total that may decrease, such as the length of a queue, is a current value.
        "level": (lambda ids: metric_views.last_values(snapshot, ids, time), "sum"),
        "delta": (lambda ids: metric_views.delta_sums(snapshot, ids, time), "sum"),
        "total": (lambda ids: metric_views.increases(snapshot, ids, time), "sum"),
        "histogram delta": (histogram(True), "sum" if suffix else "mean"),
        "histogram total": (histogram(False), "sum" if suffix else "mean"),
    }
    return [(*ways[way], rows) for way in ways if (rows := [row for row in found if _way(row) == way])]


def _way(row: StreamRow) -> str:
    if row.kind in HISTOGRAMS:
        return "histogram delta" if row.temporality == "delta" else "histogram total"
    if row.kind != "sum":
        return "gauge"
    if row.temporality == "delta":
        return "delta"
    return "total" if row.is_monotonic else "level"


def _of_histogram(rows: Iterable[Row], suffix: str) -> Iterable[tuple[Any, ...]]:
    for stream, at, count, total, points, last_ns in rows:
        if suffix == "_count":
            yield stream, at, count, points, last_ns
        elif total is not None:
            yield stream, at, total, points if suffix == "_sum" else count, last_ns


def _raw(
    snapshot: Snapshot, query: MetricQuery, found: Sequence[StreamRow], suffix: str
) -> list[MetricSeries]:
    time = _time(query)
    streams = {row.stream_id: _stream(row, "sum", suffix) for row in found}
    points: list[RawPoint] = []
    numbers = [row.stream_id for row in found if row.kind not in HISTOGRAMS]
    if numbers:
        points += [RawPoint(*row) for row in metric_views.raw_points(snapshot, numbers, time)]
    histograms = [row.stream_id for row in found if row.kind in HISTOGRAMS]
    if histograms:
        for row in _bounded(metric_views.histogram_points(snapshot, histograms, time)):
            value = _raw_value(HistogramPoint(*row), suffix)
            if value is not None:
                points.append(RawPoint(row[0], row[1], value))
    return metric_series.raw_series(query.metric, streams, _bounded(points))


def _raw_value(point: HistogramPoint, suffix: str) -> float | None:
    if suffix == "_count":
        return point.count
    if suffix == "_sum" or point.total is None:
        return point.total
    return point.total / point.count if point.count else None


def _buckets(snapshot: Snapshot, query: MetricQuery, found: Sequence[StreamRow]) -> list[MetricSeries]:
    time = _time(query)
    found = [row for row in found if row.kind != "summary"]
    ids = [row.stream_id for row in found]
    streams = {row.stream_id: _stream(row, "sum", "_bucket") for row in found}
    rows = _bounded(metric_views.histogram_points(snapshot, ids, time))
    points = [HistogramPoint(*row) for row in rows]
    if query.step_s is None and not query.instant:
        made, raw_points = histogram_buckets.raw(streams, points)
        return metric_series.raw_series(query.metric, made, _bounded(raw_points))
    cumulative = frozenset(row.stream_id for row in found if row.temporality != "delta")
    before = metric_views.histogram_points_before(snapshot, list(cumulative), time) if cumulative else []
    first = {row[0]: HistogramPoint(*row) for row in before}
    made, parts = histogram_buckets.bucketed(streams, points, first, cumulative, time.step_ns, time.at_s)
    return metric_series.merged(query.metric, made, _bounded(parts))


def _time(query: MetricQuery) -> TimeSpan:
    return TimeSpan(
        begin_ns=query.begin_ns,
        until_ns=query.until_ns,
        step_ns=(query.step_s or 1) * NS,
        at_s=query.end_s if query.instant else None,
        limit=MAX_POINTS,
    )


def _stream(row: StreamRow, way: Way, suffix: str) -> Stream:
    unit = row.unit if suffix in ("", "_sum") else COUNT_UNIT
    return Stream(labels_of(msgspec.json.decode(row.labels)), unit, way)


def _matches(row: StreamRow, matchers: Sequence[Matcher]) -> bool:
    if not matchers:
        return True
    labels, resource = _texts(row.labels), _texts(row.resource)
    return all(one.matches(labels, resource) for one in matchers)


def _series_matches(series: MetricSeries, matchers: Sequence[Matcher]) -> bool:
    labels = {label.name: label.value for label in series.labels}
    return all(one.matches(labels, {}) for one in matchers)


def _texts(attributes: str) -> dict[str, str]:
    return {name: label_text(value) for name, value in msgspec.json.decode(attributes).items()}


def _bounded(rows: list[Any]) -> list[Any]:
    if len(rows) > MAX_POINTS:
        raise Invalid(
            f"There are more than {MAX_POINTS} points; ask for a shorter time or a coarser granularity, or choose some "
            "of the series by label_matchers."
        )
    return rows
