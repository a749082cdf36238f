"""Merges the streams of a metric into series: one for each set of labels.

A stream holds the points of one sender under one name, unit and set of labels. Several streams may have the
same labels (a server reported by two processes, a process before and after its restart): they form one
series.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from schemas.api.telemetry import MetricDataPoint, MetricLabel, MetricSeries

Way = Literal["sum", "mean", "last"]
"""How the streams of one series are combined into one value: summed, averaged by weight, or the latest
one."""


class Stream(Struct, frozen=True):
    """`labels` are texts, as used in matchers and responses."""

    labels: tuple[tuple[str, str], ...]
    unit: str
    way: Way


class Part(NamedTuple):
    """A stream's value for the time `at_s`; none if `weight` is 0. `weight` is its weight in a `mean`,
    `last_ns` the time of its last point."""

    stream: int
    at_s: int
    value: float
    weight: float
    last_ns: int


class RawPoint(NamedTuple):
    """A point as recorded."""

    stream: int
    time_ns: int
    value: float


def merged(metric: str, streams: Mapping[int, Stream], parts: Iterable[Part]) -> list[MetricSeries]:
    """Returns one point per series and time. If a metric changed its type, the latest type is used."""
    series: defaultdict[tuple[tuple[str, str], ...], defaultdict[int, list[Part]]]
    series = defaultdict(lambda: defaultdict(list))
    for part in parts:
        if part.weight:
            series[streams[part.stream].labels][part.at_s].append(part)
    return [
        _series(metric, labels, [_point(at_s, times[at_s], streams) for at_s in sorted(times)])
        for labels, times in sorted(series.items())
    ]


def raw_series(metric: str, streams: Mapping[int, Stream], points: Iterable[RawPoint]) -> list[MetricSeries]:
    """Returns every point, ordered by time."""
    series: defaultdict[tuple[tuple[str, str], ...], list[RawPoint]] = defaultdict(list)
    for point in points:
        series[streams[point.stream].labels].append(point)
    return [
        _series(
            metric,
            labels,
            [
                MetricDataPoint(
                    point.time_ns // 1_000_000_000, number(point.value), streams[point.stream].unit
                )
                for point in sorted(found, key=lambda point: (point.time_ns, point.stream))
            ],
        )
        for labels, found in sorted(series.items())
    ]


def _series(metric: str, labels: tuple[tuple[str, str], ...], points: list[MetricDataPoint]) -> MetricSeries:
    return MetricSeries(metric, [MetricLabel(name, value) for name, value in labels], points)


def _point(at_s: int, parts: list[Part], streams: Mapping[int, Stream]) -> MetricDataPoint:
    latest = max(parts, key=lambda part: (part.last_ns, part.stream))
    stream = streams[latest.stream]
    alike = [part for part in parts if streams[part.stream].way == stream.way]
    match stream.way:
        case "sum":
            value = sum(part.value for part in alike)
        case "mean":
            value = sum(part.value for part in alike) / sum(part.weight for part in alike)
        case "last":
            value = latest.value
    return MetricDataPoint(at_s, number(value), stream.unit)


def number(value: float) -> float | str:
    """Returns the value for JSON; NaN and the infinities become texts."""
    if isinstance(value, int) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def labels_of(attributes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Converts attributes to labels, sorted by name: texts are unchanged, other values become their JSON."""
    return tuple((name, label_text(attributes[name])) for name in sorted(attributes))


def label_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
