"""Queries metrics: the streams of a name, and their sums or values in each time bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from projections.warehouse.plan import ReadModel, query_text
from projections.warehouse.reader import Row
from projections.warehouse.snapshot import Snapshot

READ_MODEL = ReadModel(
    name="metrics",
    tables=("metric_streams", "metric_points", "metric_histograms"),
    queries=(
        "metric_streams",
        "metric_last_values",
        "metric_delta_sums",
        "metric_increases",
        "metric_points_before",
        "metric_raw_points",
        "histogram_increases",
        "histogram_delta_sums",
        "histogram_points",
        "histogram_points_before",
    ),
)

LOOK_BACK_NS = 600 * 1_000_000_000
"""Points are read from this long before the requested time, to compare the first ones with; earlier points
are read only for streams that have none in this period."""


class StreamRow(NamedTuple):
    """The points of one sender under one name. `labels` and `resource` are JSON objects."""

    stream_id: int
    unit: str
    kind: str
    temporality: str | None
    is_monotonic: bool
    labels: str
    resource: str


class TimeSpan(Struct, frozen=True):
    """A period from `begin_ns` (included) to `until_ns` (excluded), in buckets of `step_ns`, or one time
    `at_s`."""

    begin_ns: int
    until_ns: int
    step_ns: int
    at_s: int | None
    limit: int
    """Maximum number of rows returned; one more is returned if there are more."""

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
    """Returns stream, beginning of the bucket in seconds, last value, number of points, time of the last."""
    rows = snapshot.rows(query_text("metric_last_values"), time.bucketed(ids))
    return [
        (stream, at, _exact(last["float"], last["whole"]), count, ns) for stream, at, last, count, ns in rows
    ]


def delta_sums(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """Like `last_values`, with the sum of the points."""
    return snapshot.rows(query_text("metric_delta_sums"), time.bucketed(ids))


def increases(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """Like `delta_sums`, for streams that send running totals."""
    names = ("before_streams", "before_times", "before_starts", "before_values", "before_wholes")
    return _compared(snapshot, "metric_increases", "metric_points_before", names, ids, time)


def raw_points(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[tuple[int, int, float]]:
    """Returns stream, time in nanoseconds, value."""
    rows = snapshot.rows(query_text("metric_raw_points"), time.params(ids))
    return [(stream, ns, _exact(value, whole)) for stream, ns, value, whole in rows]


def histogram_sums(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan, *, delta: bool) -> list[Row]:
    """Returns stream, beginning of the bucket, number of values, their sum (None if it is not sent), number
    of points, time of the last."""
    if delta:
        return snapshot.rows(query_text("histogram_delta_sums"), time.bucketed(ids))
    names = ("before_streams", "before_times", "before_starts", "before_counts", "before_totals")
    return _compared(snapshot, "histogram_increases", "histogram_points_before", names, ids, time)


def histogram_points(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """Returns the points as recorded, with the columns of `queries/histogram_points.sql`."""
    return snapshot.rows(query_text("histogram_points"), time.params(ids))


def histogram_points_before(snapshot: Snapshot, ids: Sequence[int], time: TimeSpan) -> list[Row]:
    """Returns the points with which the first points of these streams are compared."""
    return _before(snapshot, "histogram_points_before", ids, time.begin_ns)


def _compared(
    snapshot: Snapshot,
    query: str,
    query_before: str,
    names: Sequence[str],
    ids: Sequence[int],
    time: TimeSpan,
) -> list[Row]:
    """Runs a query that compares each point with the previous one. Its last column, which is removed, is true for
    points without a previous one in the searched period."""
    since = time.begin_ns - LOOK_BACK_NS
    params = time.bucketed(ids) | {"since": since}
    rows = snapshot.rows(query_text(query), params | _columns(names, ()))
    missing = {row[0] for row in rows if row[-1]}
    older = _before(snapshot, query_before, list(missing), since) if missing else []
    if older:
        columns = _columns(names, [row[: len(names)] for row in older])
        again = snapshot.rows(query_text(query), params | {"streams": [row[0] for row in older]} | columns)
        found = {row[0] for row in older}
        rows = [row for row in rows if row[0] not in found] + again
    return [row[:-1] for row in rows]


def _before(snapshot: Snapshot, query: str, ids: Sequence[int], begin_ns: int) -> list[Row]:
    """Returns the last points of streams before a time."""
    params = {"streams": list(ids), "begin": begin_ns}
    rows = snapshot.rows(query_text(query), params | {"since": begin_ns - LOOK_BACK_NS})
    missing = set(ids) - {row[0] for row in rows}
    if missing:
        rows += snapshot.rows(query_text(query), params | {"streams": list(missing), "since": -(2**63)})
    return rows


def _columns(names: Sequence[str], rows: Sequence[Row]) -> dict[str, list[Any]]:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def _exact(value: float, whole: int | None) -> float:
    return value if whole is None else whole
