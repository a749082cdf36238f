"""Series of a metric, put together from what its streams gave: one for each set of labels.

A stream is what one sender sends under one name, unit and set of labels. Several streams may have the same labels
(the server that two processes report, a process before and after its restart): they are one series.
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
"""How streams of one series become one value: they add up, they are averaged by their weights, the latest counts."""


class Stream(Struct, frozen=True):
    """`labels` are texts, as matchers and answers have them."""

    labels: tuple[tuple[str, str], ...]
    unit: str
    way: Way


class Part(NamedTuple):
    """What a stream gave for the time `at_s`; nothing where `weight` is 0. `weight` says how much of a `mean` it is,
    `last_ns` when it was given last."""

    stream: int
    at_s: int
    value: float
    weight: float
    last_ns: int


class RawPoint(NamedTuple):
    """A point as it came."""

    stream: int
    time_ns: int
    value: float


def merged(metric: str, streams: Mapping[int, Stream], parts: Iterable[Part]) -> list[MetricSeries]:
    """A point for each series and time. Where a metric changed its type, the type that came last counts."""
    series: defaultdict[tuple[tuple[str, str], ...], defaultdict[int, list[Part]]]
    series = defaultdict(lambda: defaultdict(list))
    for part in parts:
        if part.weight:
            series[streams[part.stream].labels][part.at_s].append(part)
    return [
        _series(metric, labels, [_point(at_s, times[at_s], streams) for at_s in sorted(times)])
        for labels, times in sorted(series.items())
    ]


def as_they_came(
    metric: str, streams: Mapping[int, Stream], points: Iterable[RawPoint]
) -> list[MetricSeries]:
    """Every point, in the order of time."""
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
    """The value as JSON can say it; what is no number is a text."""
    if isinstance(value, int) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def labels_of(attributes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Attributes as labels, sorted by name: texts as they are, anything else as its JSON."""
    return tuple((name, label_text(attributes[name])) for name in sorted(attributes))


def label_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
