"""Metrics as they are read: streams of a name, and what they counted or were in each bucket of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from projections.plan import ReadModel, query_text
from projections.reader import Row
from projections.snapshot import Snapshot

READ_MODEL = ReadModel(
    name="metrics",
    tables=("metric_streams", "metric_points", "metric_histograms"),
    queries=(
        "metric_streams",
        "metric_last_values",
        "metric_delta_sums",
        "metric_increases",
        "metric_points_before",
        "metric_first_starts",
        "metric_raw_points",
        "histogram_increases",
        "histogram_delta_sums",
        "histogram_points",
        "histogram_points_before",
    ),
)

LOOK_BACK_NS = 3_600 * 1_000_000_000
"""So far before the time that is asked for, the point is looked for that the first one is compared with; further only
for streams that are older and have none there."""


class StreamRow(NamedTuple):
    """What one sender sends under a name. `labels` and `resource` are JSON objects."""

    stream_id: int
    unit: str
    kind: str
    temporality: str | None
    is_monotonic: bool
    labels: str
    resource: str


class TimeSpan(Struct, frozen=True):
    """A time, from `begin_ns` up to but without `until_ns`, in buckets of `step_ns`, or one at `at_s`."""

    begin_ns: int
    until_ns: int
    step_ns: int
    at_s: int | None
    limit: int
    """At most so many rows are returned, and one more where there are more."""

    def params(self, streams: Sequence[int]) -> dict[str, Any]:
        return {
            "streams": list(streams),
            "begin": self.begin_ns,
            "until": self.until_ns,
            "limit": self.limit + 1,
        }

    def bucketed(self, streams: Sequence[int]) -> dict[str, Any]:
        return self.params(streams) | {"step": self.step_ns, "at": self.at_s}


def streams(snapshot: Snapshot, name: str) -> list[StreamRow]:
    return [StreamRow(*row) for row in snapshot.rows(query_text("metric_streams"), {"name": name})]


def last_values(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """Stream, beginning of the bucket in seconds, last value, number of points, time of the last."""
    rows = snapshot.rows(query_text("metric_last_values"), time.bucketed(ids))
    return [
        (stream, at, _exact(last["float"], last["whole"]), count, ns) for stream, at, last, count, ns in rows
    ]


def delta_sums(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """As `last_values`, with what was counted."""
    return snapshot.rows(query_text("metric_delta_sums"), time.bucketed(ids))


def increases(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """As `delta_sums`, of streams that send totals."""
    before = _before(snapshot, "metric_points_before", ids, time)
    columns = _columns(
        ("before_streams", "before_times", "before_starts", "before_values", "before_wholes"), before
    )
    return snapshot.rows(query_text("metric_increases"), time.bucketed(ids) | columns)


def raw_points(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[tuple[int, int, float]]:
    """Stream, time in nanoseconds, value."""
    rows = snapshot.rows(query_text("metric_raw_points"), time.params(ids))
    return [(stream, ns, _exact(value, whole)) for stream, ns, value, whole in rows]


def histogram_sums(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan, *, delta: bool) -> list[Row]:
    """Stream, beginning of the bucket, how many values, their sum (None where none is sent), number of points, time of
    the last."""
    if delta:
        return snapshot.rows(query_text("histogram_delta_sums"), time.bucketed(ids))
    before = [row[:5] for row in _before(snapshot, "histogram_points_before", ids, time)]
    columns = _columns(
        ("before_streams", "before_times", "before_starts", "before_counts", "before_totals"), before
    )
    return snapshot.rows(query_text("histogram_increases"), time.bucketed(ids) | columns)


def histogram_points(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """Points as they came, with the columns of `queries/histogram_points.sql`."""
    return snapshot.rows(query_text("histogram_points"), time.params(ids))


def histogram_points_before(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """The points that the first ones of these streams are compared with."""
    return _before(snapshot, "histogram_points_before", ids, time)


def _before(snapshot: Snapshot, query: str, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    params = {"streams": list(ids), "begin": time.begin_ns, "since": time.begin_ns - LOOK_BACK_NS}
    rows = snapshot.rows(query_text(query), params)
    missing = set(ids) - {row[0] for row in rows}
    if missing:
        # Of those that began to count in the time itself there can be none.
        starts = snapshot.rows(
            query_text("metric_first_starts"),
            {"streams": list(missing), "begin": time.begin_ns, "until": time.until_ns},
        )
        older = [stream for stream, start_ns in starts if start_ns < time.begin_ns]
        if older:
            rows += snapshot.rows(query_text(query), params | {"streams": older, "since": -(2**63)})
    return rows


def _columns(names: Sequence[str], rows: Sequence[Row]) -> dict[str, list[Any]]:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def _exact(value: float, whole: int | None) -> float:
    return value if whole is None else whole
