"""The buckets of histograms: cumulative counts by upper bound, between two points and in total.

Bounds are upper limits, the last one is infinity. An exponential histogram of scale s has buckets that end at
the powers of 2^(2^-s); its bounds are numbers like all others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from telemetry.query.metric_series import Part, RawPoint, Stream

Counts = Mapping[float, float]
"""Maps the upper bound of each bucket to the number of values in it."""


class HistogramPoint(Struct, frozen=True):
    """A stored point. Fields of the other kind of histogram are empty."""

    stream: int
    time_ns: int
    start_ns: int
    count: int
    total: float | None
    bounds: Sequence[float] | None = None
    counts: Sequence[int] | None = None
    scale: int | None = None
    zero_count: int | None = None
    zero_threshold: float | None = None
    positive_offset: int | None = None
    positive_counts: Sequence[int] | None = None
    negative_offset: int | None = None
    negative_counts: Sequence[int] | None = None

    @property
    def is_exponential(self) -> bool:
        return self.scale is not None


def counts_of(point: HistogramPoint, scale: int | None = None) -> Counts:
    """Returns the counts by bound; for an exponential histogram at `scale`, its own or a coarser one. For a
    point without buckets all values are counted at infinity."""
    if point.is_exponential:
        return _exponential(point, scale)
    if not point.counts:
        return {math.inf: point.count}
    return dict(zip([*(point.bounds or ()), math.inf], point.counts, strict=False))


def _exponential(point: HistogramPoint, scale: int | None) -> Counts:
    own = point.scale or 0
    coarser = own - (own if scale is None else scale)
    counts: defaultdict[float, float] = defaultdict(float)
    for offset, values, sign in (
        (point.positive_offset or 0, point.positive_counts or (), 1),
        (point.negative_offset or 0, point.negative_counts or (), -1),
    ):
        for number, value in enumerate(values):
            if value:
                counts[_bound((offset + number) >> coarser, own - coarser, sign)] += value
    if point.zero_count:
        counts[point.zero_threshold or 0.0] += point.zero_count
    return counts


def _bound(index: int, scale: int, sign: int) -> float:
    """Returns the upper limit of a bucket: for negative values the limit nearer to zero."""
    exponent = (index + (sign > 0)) * 2.0**-scale
    try:
        return float(sign * 2.0**exponent)
    except OverflowError:
        return sign * math.inf


def increase(before: HistogramPoint | None, point: HistogramPoint) -> Counts:
    """Returns the counts since the previous point of the same stream, whose values are totals. If counting
    restarted, or a count decreased, it is counted from zero; a first point without a start time counts as
    nothing."""
    if before is None:
        return counts_of(point) if point.start_ns else {}
    if before.start_ns != point.start_ns or before.count > point.count:
        return counts_of(point)
    if point.is_exponential and before.is_exponential:
        scale = min(point.scale or 0, before.scale or 0)
        now, then = counts_of(point, scale), counts_of(before, scale)
    else:
        now, then = counts_of(point), counts_of(before)
        if now.keys() != then.keys():
            return now
    return {bound: max(0.0, value - then.get(bound, 0)) for bound, value in now.items()}


def bucketed(
    streams: Mapping[int, Stream],
    points: Iterable[HistogramPoint],
    before: Mapping[int, HistogramPoint],
    cumulative: frozenset[int],
    step_ns: int | None,
    at_s: int | None,
) -> tuple[dict[int, Stream], list[Part]]:
    """Returns the streams and parts of `<name>_bucket`: one stream for each stream and each `le`, with
    cumulative counts.

    `cumulative` are the streams whose points are totals; `at_s` is the time of an instant query."""
    counted: defaultdict[tuple[int, int], defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
    latest: dict[tuple[int, int], int] = {}
    last = dict(before)
    seen: set[tuple[int, int, int]] = set()
    for point in sorted(points, key=lambda point: point.time_ns):
        stream = point.stream
        if stream in cumulative:
            more = increase(last.get(stream), point)
            last[stream] = point
        elif (stream, point.start_ns, point.time_ns) in seen:
            continue
        else:
            seen.add((stream, point.start_ns, point.time_ns))
            more = counts_of(point)
        at = at_s if at_s is not None else point.time_ns // (step_ns or 1) * (step_ns or 1) // 1_000_000_000
        for bound, value in more.items():
            counted[stream, at][bound] += value
        latest[stream, at] = point.time_ns
    return _parts(streams, counted, latest)


def raw(
    streams: Mapping[int, Stream], points: Iterable[HistogramPoint]
) -> tuple[dict[int, Stream], list[RawPoint]]:
    """Returns the streams and points of `<name>_bucket` as recorded, with cumulative counts for each `le`."""
    made = _LeStreams(streams)
    found = [
        RawPoint(made.of(point.stream, bound), point.time_ns, value)
        for point in points
        for bound, value in _up_to(counts_of(point))
    ]
    return made.streams, found


class _LeStreams:
    """Creates a stream for each original stream and `le`."""

    def __init__(self, streams: Mapping[int, Stream]) -> None:
        self._of = streams
        self._numbers: dict[tuple[int, float], int] = {}
        self.streams: dict[int, Stream] = {}

    def of(self, stream: int, bound: float) -> int:
        number = self._numbers.setdefault((stream, bound), len(self._numbers))
        if number not in self.streams:
            labels = dict(self._of[stream].labels) | {"le": le_text(bound)}
            self.streams[number] = Stream(tuple(sorted(labels.items())), "1", "sum")
        return number


def _parts(
    streams: Mapping[int, Stream],
    counted: Mapping[tuple[int, int], Counts],
    latest: Mapping[tuple[int, int], int],
) -> tuple[dict[int, Stream], list[Part]]:
    made = _LeStreams(streams)
    parts = [
        Part(made.of(stream, bound), at, value, 1.0, latest[stream, at])
        for (stream, at), counts in counted.items()
        for bound, value in _up_to(counts)
    ]
    return made.streams, parts


def _up_to(counts: Counts) -> list[tuple[float, float]]:
    """Returns the cumulative counts by bound; infinity is always included."""
    total = 0.0
    found = []
    for bound in sorted({*counts, math.inf}):
        total += counts.get(bound, 0)
        found.append((bound, total))
    return found


def le_text(bound: float) -> str:
    """Formats a bound as Prometheus does: without a decimal point if it is an integer."""
    if math.isinf(bound):
        return "+Inf" if bound > 0 else "-Inf"
    return str(int(bound)) if bound == int(bound) and abs(bound) < 1e15 else repr(bound)
