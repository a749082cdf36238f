"""Decodes points of histograms, exponential histograms and summaries to rows; inconsistent points are
rejected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from telemetry.wire.form import Form
from telemetry.wire.refusals import Unfit

MAX_BUCKETS = 4096
"""Maximum number of buckets on each side. Senders have 160 by default; each bucket is read with its point."""
MAX_SCALE = 64
"""Limit in both directions: at -11 one bucket holds all doubles above 1, at 52 each double has its own
bucket."""
_INT32 = range(-(2**31), 2**31)

# The bits of `held`, described in `projections/sql/writes/histograms_arrive.sql`.
TOTAL, MINIMUM, MAXIMUM, BUCKETS, QUANTILES, EXPONENTIAL = 1, 2, 4, 8, 16, 32

_NOTHING: dict[str, Any] = {
    "count": 0,
    "held": 0,
    "total": 0.0,
    "minimum": 0.0,
    "maximum": 0.0,
    "bounds": (),
    "counts": (),
    "quantiles": (),
    "scale": 0,
    "zero_count": 0,
    "zero_threshold": 0.0,
    "positive_offset": 0,
    "positive_counts": (),
    "negative_offset": 0,
    "negative_counts": (),
}
Row = dict[str, Any]


def histogram(form: Form, point: Any) -> Row:
    """Raises Unfit, Malformed."""
    row = _NOTHING | {"count": _count(form, point.count)}
    _extremes(form, point, row)
    bounds, counts = form.reals(point.explicit_bounds), form.numbers(point.bucket_counts)
    if not counts and not bounds:
        return row
    if len(counts) != len(bounds) + 1:
        raise Unfit("a histogram has not one bucket more than it has bounds")
    _check_buckets(counts)
    if not _rise([*bounds, math.inf]):
        bounds, counts = _without_infinity(bounds, counts)
    if sum(counts) != row["count"]:
        raise Unfit("the buckets of a histogram do not add up to its count")
    row["bounds"], row["counts"] = list(bounds), list(counts)
    row["held"] |= BUCKETS
    return row


def exponential_histogram(form: Form, point: Any) -> Row:
    """Raises Unfit, Malformed."""
    row = _NOTHING | {"count": _count(form, point.count), "zero_count": _count(form, point.zero_count)}
    _extremes(form, point, row)
    row["scale"] = form.number(point.scale)
    if abs(row["scale"]) > MAX_SCALE:
        raise Unfit(f"the scale of a histogram is not between -{MAX_SCALE} and {MAX_SCALE}")
    [row["zero_threshold"]] = form.reals([point.zero_threshold])
    if not 0 <= row["zero_threshold"] < math.inf:
        raise Unfit("the zero threshold of a histogram is not a number from 0 on")
    for side in ("positive", "negative"):
        offset, counts = form.buckets(getattr(point, side))
        _check_buckets(counts)
        if offset not in _INT32:
            raise Unfit("the offset of buckets has more than 32 bits")
        row[f"{side}_offset"], row[f"{side}_counts"] = offset, list(counts)
    if row["zero_count"] + sum(row["positive_counts"]) + sum(row["negative_counts"]) != row["count"]:
        raise Unfit("the buckets of a histogram do not add up to its count")
    row["held"] |= EXPONENTIAL
    return row


def summary(form: Form, point: Any) -> Row:
    """Raises Unfit, Malformed."""
    [total] = form.reals([point.sum])
    row = _NOTHING | {"count": _count(form, point.count), "total": total, "held": TOTAL}
    values = point.quantile_values or ()
    if len(values) > MAX_BUCKETS:
        raise Unfit(f"a summary has more than {MAX_BUCKETS} quantiles")
    if values:
        row["bounds"] = form.reals([value.quantile for value in values])
        row["quantiles"] = form.reals([value.value for value in values])
        row["held"] |= QUANTILES
        if not all(0 <= quantile <= 1 for quantile in row["bounds"]):
            raise Unfit("a quantile is not between 0 and 1")
    return row


ROWS: Mapping[str, Callable[[Any, Any], Row]] = {
    "histogram": histogram,
    "exponential_histogram": exponential_histogram,
    "summary": summary,
}


def _extremes(form: Form, point: Any, row: Row) -> None:
    for field, column, bit in (
        ("sum", "total", TOTAL),
        ("min", "minimum", MINIMUM),
        ("max", "maximum", MAXIMUM),
    ):
        value = form.real_or_none(point, field)
        if value is not None:
            row[column] = value
            row["held"] |= bit


def _count(form: Form, value: Any) -> int:
    count = form.number(value)
    if count < 0:
        raise Unfit("a count is below 0")
    return count


def _check_buckets(counts: Sequence[int]) -> None:
    if len(counts) > MAX_BUCKETS:
        raise Unfit(f"a histogram has more than {MAX_BUCKETS} buckets")
    if counts and min(counts) < 0:
        raise Unfit("a count is below 0")


def _rise(bounds: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(bounds))


def _without_infinity(bounds: Sequence[float], counts: Sequence[int]) -> tuple[list[float], list[int]]:
    """Removes the infinite bound that some senders add, which every histogram has, and the empty bucket after
    it."""
    if not _rise(bounds) or bounds[-1] != math.inf:
        raise Unfit("the bounds of a histogram are not numbers that rise")
    return list(bounds[:-1]), [*counts[:-2], counts[-2] + counts[-1]]
