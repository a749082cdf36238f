"""Histograms, exponential histograms and summaries as rows, and which of them are refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, Metric, MetricsData

from telemetry.wire.histogram_points import (
    BUCKETS,
    EXPONENTIAL,
    MAX_BUCKETS,
    MAXIMUM,
    MINIMUM,
    QUANTILES,
    TOTAL,
)
from telemetry.wire.refusals import Malformed
from tests.telemetry.decoded_rows import in_both_forms, received, rows
from tests.telemetry.otlp_requests import BASE_NS

TIMES = {"time_unix_nano": BASE_NS + 10, "start_time_unix_nano": BASE_NS}
Buckets = ExponentialHistogramDataPoint.Buckets


def request(kind: str, **point: Any) -> MetricsData:
    made = MetricsData()
    metric: Metric = made.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    data = getattr(metric, kind)
    if kind != "summary":
        data.aggregation_temporality = 2
    data.data_points.add(**TIMES, **point)
    return made


def only_row(kind: str, **point: Any) -> dict[str, Any]:
    found = in_both_forms("metrics", request(kind, **point))
    assert found.reason == ""
    assert [row["kind"] for row in rows(found, "streams")] == [kind]
    [row] = rows(found, "histograms")
    return row


def reason(kind: str, **point: Any) -> str:
    found = in_both_forms("metrics", request(kind, **point))
    assert (found.accepted, found.rejected, found.batches) == (0, 1, {})
    return found.reason.removeprefix("1 because ")


def test_a_histogram() -> None:
    row = only_row(
        "histogram",
        count=6,
        sum=2.5,
        min=-1.0,
        max=9.0,
        explicit_bounds=[-math.inf, 0.0, 5.0],
        bucket_counts=[1, 2, 0, 3],
    )
    assert row["held"] == TOTAL | MINIMUM | MAXIMUM | BUCKETS
    assert (row["count"], row["total"], row["minimum"], row["maximum"]) == (6, 2.5, -1.0, 9.0)
    assert (row["bounds"], row["counts"]) == ([-math.inf, 0.0, 5.0], [1, 2, 0, 3])
    assert (row["time_ns"], row["start_ns"]) == (BASE_NS + 10, BASE_NS)


def test_a_histogram_that_has_next_to_nothing() -> None:
    row = only_row("histogram", count=2**64 - 1)
    assert (row["count"], row["held"], row["bounds"], row["counts"]) == (2**64 - 1, 0, [], [])
    row = only_row("histogram", count=3, bucket_counts=[3])
    assert (row["held"], row["bounds"], row["counts"]) == (BUCKETS, [], [3])
    assert only_row("histogram", count=0, sum=0.0)["held"] == TOTAL


def test_a_last_bound_that_is_infinite_is_the_one_that_all_have() -> None:
    row = only_row("histogram", count=7, explicit_bounds=[1.0, math.inf], bucket_counts=[1, 4, 2])
    assert (row["bounds"], row["counts"]) == ([1.0], [1, 6])
    row = only_row("histogram", count=7, explicit_bounds=[math.inf], bucket_counts=[7, 0])
    assert (row["bounds"], row["counts"]) == ([], [7])


@pytest.mark.parametrize(
    ("point", "why"),
    [
        ({"bucket_counts": [1, 1]}, "a histogram has not one bucket more than it has bounds"),
        ({"explicit_bounds": [1.0]}, "a histogram has not one bucket more than it has bounds"),
        (
            {"explicit_bounds": [1.0, 2.0], "bucket_counts": [1, 1]},
            "a histogram has not one bucket more than it has bounds",
        ),
        (
            {"explicit_bounds": [2.0, 1.0], "bucket_counts": [0, 2, 0]},
            "the bounds of a histogram are not numbers that rise",
        ),
        (
            {"explicit_bounds": [1.0, 1.0], "bucket_counts": [0, 2, 0]},
            "the bounds of a histogram are not numbers that rise",
        ),
        (
            {"explicit_bounds": [math.nan], "bucket_counts": [0, 2]},
            "the bounds of a histogram are not numbers that rise",
        ),
        (
            {"explicit_bounds": [math.inf, 1.0], "bucket_counts": [0, 2, 0]},
            "the bounds of a histogram are not numbers that rise",
        ),
        (
            {"explicit_bounds": [1.0], "bucket_counts": [1, 2]},
            "the buckets of a histogram do not add up to its count",
        ),
        (
            {"explicit_bounds": [1.0], "bucket_counts": [2**64 - 1, 3]},
            "the buckets of a histogram do not add up to its count",
        ),
        (
            {
                "explicit_bounds": list(map(float, range(MAX_BUCKETS))),
                "bucket_counts": [2] + [0] * MAX_BUCKETS,
            },
            f"a histogram has more than {MAX_BUCKETS} buckets",
        ),
    ],
)
def test_histograms_that_do_not_fit_together(point: dict[str, Any], why: str) -> None:
    assert reason("histogram", count=2, **point) == why


def test_an_exponential_histogram() -> None:
    row = only_row(
        "exponential_histogram",
        count=10,
        sum=1.5,
        scale=-3,
        zero_count=4,
        zero_threshold=0.25,
        positive=Buckets(offset=-(2**31), bucket_counts=[1, 0, 2]),
        negative=Buckets(offset=2**31 - 1, bucket_counts=[3]),
    )
    assert row["held"] == TOTAL | EXPONENTIAL
    assert (row["scale"], row["zero_count"], row["zero_threshold"]) == (-3, 4, 0.25)
    assert (row["positive_offset"], row["positive_counts"]) == (-(2**31), [1, 0, 2])
    assert (row["negative_offset"], row["negative_counts"]) == (2**31 - 1, [3])
    empty = only_row("exponential_histogram")
    assert (empty["held"], empty["positive_counts"], empty["negative_counts"]) == (EXPONENTIAL, [], [])


@pytest.mark.parametrize(
    ("point", "why"),
    [
        ({"scale": 65}, "the scale of a histogram is not between -64 and 64"),
        ({"scale": -(2**31)}, "the scale of a histogram is not between -64 and 64"),
        ({"zero_threshold": math.nan}, "the zero threshold of a histogram is not a number from 0 on"),
        ({"zero_threshold": -1.0}, "the zero threshold of a histogram is not a number from 0 on"),
        ({"zero_threshold": math.inf}, "the zero threshold of a histogram is not a number from 0 on"),
        ({"zero_count": 1}, "the buckets of a histogram do not add up to its count"),
        ({"count": 1}, "the buckets of a histogram do not add up to its count"),
        ({"positive": Buckets(bucket_counts=[1])}, "the buckets of a histogram do not add up to its count"),
        (
            {"negative": Buckets(bucket_counts=[0] * (MAX_BUCKETS + 1))},
            f"a histogram has more than {MAX_BUCKETS} buckets",
        ),
    ],
)
def test_exponential_histograms_that_do_not_fit_together(point: dict[str, Any], why: str) -> None:
    assert reason("exponential_histogram", **point) == why


def test_a_summary() -> None:
    quantiles = [{"quantile": 0.5, "value": -2.0}, {"quantile": 1.0, "value": math.inf}]
    row = only_row("summary", count=3, sum=4.5, quantile_values=quantiles)
    assert row["held"] == TOTAL | QUANTILES
    assert (row["count"], row["total"]) == (3, 4.5)
    assert (row["bounds"], row["quantiles"]) == ([0.5, 1.0], [-2.0, math.inf])
    assert only_row("summary", count=3)["held"] == TOTAL


@pytest.mark.parametrize("quantile", [-0.1, 1.1, math.nan, math.inf])
def test_quantiles_that_are_none(quantile: float) -> None:
    values = [{"quantile": quantile, "value": 1.0}]
    assert reason("summary", quantile_values=values) == "a quantile is not between 0 and 1"


def test_a_summary_with_quantiles_without_end() -> None:
    values = [{"quantile": 0.5, "value": 1.0}] * (MAX_BUCKETS + 1)
    assert reason("summary", quantile_values=values) == f"a summary has more than {MAX_BUCKETS} quantiles"


def from_json(kind: str, **point: Any) -> Any:
    data = {"aggregationTemporality": 2, "dataPoints": [{"timeUnixNano": str(BASE_NS)} | point]}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", kind: data}]}]}]}
    return received("metrics", json.dumps(body).encode(), "json")


@pytest.mark.parametrize(
    ("kind", "point", "why"),
    [
        ("histogram", {"count": -1}, "a count is below 0"),
        (
            "histogram",
            {"count": "1", "bucketCounts": ["2", "-1"], "explicitBounds": [1]},
            "a count is below 0",
        ),
        ("exponentialHistogram", {"zeroCount": "-1"}, "a count is below 0"),
        ("exponentialHistogram", {"count": 1, "positive": {"bucketCounts": [2, -1]}}, "a count is below 0"),
        ("exponentialHistogram", {"scale": 2**31}, "the scale of a histogram is not between -64 and 64"),
        (
            "exponentialHistogram",
            {"negative": {"offset": str(2**31)}},
            "the offset of buckets has more than 32 bits",
        ),
        ("summary", {"count": "-1"}, "a count is below 0"),
    ],
)
def test_what_only_json_can_say(kind: str, point: dict[str, Any], why: str) -> None:
    found = from_json(kind, **point)
    assert (found.rejected, found.reason) == (1, f"1 because {why}")


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("histogram", {"count": str(2**64)}),
        ("histogram", {"count": 1, "bucketCounts": ["x"]}),
        ("histogram", {"count": 1, "bucketCounts": [str(2**65)]}),
        ("histogram", {"sum": "1e999"}),
        ("histogram", {"explicitBounds": ["x"]}),
        ("exponentialHistogram", {"scale": 1.5}),
        ("summary", {"quantileValues": [{"quantile": "half"}]}),
    ],
)
def test_json_that_says_nothing_clear_is_refused(kind: str, point: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        from_json(kind, **point)


def test_numbers_of_json_as_text_and_null_for_what_is_missing() -> None:
    [row] = rows(
        from_json(
            "histogram",
            count="3",
            sum=None,
            min="NaN",
            bucketCounts=["1", 2],
            explicitBounds=["0.5"],
            startTimeUnixNano=None,
        ),
        "histograms",
    )
    assert (row["held"], row["counts"], row["bounds"]) == (MINIMUM | BUCKETS, [1, 2], [0.5])
    assert math.isnan(row["minimum"])
    [row] = rows(from_json("exponentialHistogram", positive=None, negative={}), "histograms")
    assert row["held"] == EXPONENTIAL
