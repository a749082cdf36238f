"""Points of requests as rows: streams told apart, values kept to the digit, points that make no sense refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData

from telemetry.wire import row_limit
from telemetry.wire.decoded import Decoded
from telemetry.wire.refusals import Malformed, TooLarge
from tests.telemetry import otlp_strategies
from tests.telemetry.decoded_rows import in_both_forms, received, rows
from tests.telemetry.otlp_requests import BASE_NS, key_values

DELTA, CUMULATIVE = 1, 2
TIMES = {"time_unix_nano": BASE_NS + 10, "start_time_unix_nano": BASE_NS}


def gauge(**more: Any) -> Metric:
    made = Metric(name="m", unit="1")
    made.gauge.data_points.add(**{"as_int": 5} | TIMES | more)
    return made


def total(temporality: int = CUMULATIVE, monotonic: bool = True, **more: Any) -> Metric:
    made = Metric(name="m", unit="1")
    made.sum.aggregation_temporality = temporality  # type: ignore[assignment]
    made.sum.is_monotonic = monotonic
    made.sum.data_points.add(**{"as_int": 5} | TIMES | more)
    return made


def request(*metrics: Metric, resource: Any = None, scope: str = "") -> MetricsData:
    made = MetricsData()
    of_resource = made.resource_metrics.add()
    of_resource.resource.attributes.extend(key_values(resource or {}))
    of_scope = of_resource.scope_metrics.add()
    of_scope.scope.name = scope
    of_scope.metrics.extend(metrics)
    return made


def decode(*metrics: Metric) -> Decoded:
    return in_both_forms("metrics", request(*metrics))


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(otlp_strategies.metric_requests)
def test_a_request_is_the_same_in_protobuf_and_in_json(made: MetricsData) -> None:
    found = in_both_forms("metrics", made)
    streams = {row["identity"]: row for row in rows(found, "streams")}
    points, histograms = rows(found, "points"), rows(found, "histograms")
    assert len(points) + len(histograms) <= found.accepted
    assert {row["identity"] for row in points + histograms} == set(streams)
    origins = {row["resource_id"] for row in rows(found, "resources")}
    assert {row["resource_id"] for row in streams.values()} == origins
    assert {row["scope_id"] for row in streams.values()} == {row["scope_id"] for row in rows(found, "scopes")}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"as_int": 2**63 - 1}, (float(2**63), 2**63 - 1, 1)),
        ({"as_int": -(2**63)}, (-float(2**63), -(2**63), 1)),
        ({"as_int": 0}, (0.0, 0, 1)),
        ({"as_double": 1.5}, (1.5, 0, 0)),
        ({"as_double": 0.0}, (0.0, 0, 0)),
        ({"as_double": math.inf}, (math.inf, 0, 0)),
    ],
)
def test_values_of_numbers(value: dict[str, Any], kept: tuple[Any, ...]) -> None:
    made = Metric(name="m")
    made.gauge.data_points.add(**TIMES, **value)
    [row] = rows(decode(made), "points")
    assert (row["value"], row["whole"], row["is_whole"]) == kept
    assert (row["time_ns"], row["start_ns"]) == (BASE_NS + 10, BASE_NS)


def test_a_gauge_that_is_no_number_is_kept() -> None:
    made = Metric(name="m")
    made.gauge.data_points.add(**TIMES, as_double=math.nan)
    [row] = rows(decode(made), "points")
    assert math.isnan(row["value"])
    assert row["is_whole"] == 0


def test_a_stream_is_there_once_with_what_it_is() -> None:
    labels = key_values({"b": 1, "a": "x", "c": [True, None]})
    made = total(attributes=labels)
    made.description = "what it counts"
    made.sum.data_points.add(as_int=6, **TIMES, attributes=list(reversed(labels)))
    made.sum.data_points.add(as_int=7, **TIMES)
    found = decode(made, made)
    first, second = rows(found, "streams")
    assert json.loads(first["labels"]) == {"a": "x", "b": 1, "c": [True, None]}
    assert first["labels"] == '{"a":"x","b":1,"c":[true,null]}'
    assert second["labels"] == "{}"
    assert (first["name"], first["description"], first["unit"]) == ("m", "what it counts", "1")
    assert (first["kind"], first["temporality"], first["is_monotonic"]) == ("sum", "cumulative", 1)
    both = [first["identity"], first["identity"], second["identity"]]
    assert [row["identity"] for row in rows(found, "points")] == both * 2


def test_what_tells_streams_apart() -> None:
    other_name, other_unit, described = gauge(), gauge(), gauge()
    other_name.name, other_unit.unit, described.description = "n", "s", "said in other words"
    histogram = Metric(name="m", unit="1")
    histogram.histogram.aggregation_temporality = DELTA
    histogram.histogram.data_points.add(**TIMES)
    requests = [
        request(gauge()),
        request(other_name),
        request(other_unit),
        request(total()),
        request(total(monotonic=False)),
        request(total(DELTA)),
        request(histogram),
        request(gauge(attributes=key_values({"a": 1}))),
        request(gauge(attributes=key_values({"a": "1"}))),
        request(gauge(), resource={"service.name": "s"}),
        request(gauge(), scope="lib"),
    ]
    found = [rows(in_both_forms("metrics", made), "streams")[0]["identity"] for made in requests]
    assert len(set(found)) == len(requests)
    again = rows(in_both_forms("metrics", request(described)), "streams")[0]["identity"]
    assert again == found[0]


def test_points_without_a_recorded_value_are_taken_and_not_kept() -> None:
    made = gauge()
    made.gauge.data_points.add(time_unix_nano=BASE_NS, flags=1)
    found = decode(made)
    assert (found.accepted, found.rejected) == (2, 0)
    assert len(rows(found, "points")) == 1
    alone = Metric(name="m")
    alone.gauge.data_points.add(flags=1)
    assert decode(alone).batches == {}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"time_unix_nano": 0}, "a point has no time"),
        ({"time_unix_nano": 2**63}, "a time is not between 1970 and 2262"),
        ({"start_time_unix_nano": 2**64 - 1}, "a time is not between 1970 and 2262"),
    ],
)
def test_an_unfit_point_is_left_out_and_the_others_are_kept(fields: dict[str, Any], reason: str) -> None:
    made = gauge(**fields)
    made.gauge.data_points.add(as_int=7, **TIMES)
    found = decode(made)
    assert (found.accepted, found.rejected, found.reason) == (1, 1, f"1 because {reason}")
    assert [row["whole"] for row in rows(found, "points")] == [7]


def test_a_point_without_a_value() -> None:
    made = Metric(name="m")
    made.gauge.data_points.add(**TIMES)
    found = decode(made)
    assert (found.rejected, found.reason, found.batches) == (1, "1 because a point has no value", {})


def test_metrics_that_make_no_sense() -> None:
    nameless = gauge()
    nameless.gauge.data_points.add(as_int=1, **TIMES)
    nameless.name = ""
    found = decode(nameless, Metric(name="without data"), total(0), total(7), gauge())
    assert (found.accepted, found.rejected) == (1, 5)
    assert found.reason == (
        "2 because a metric has no name; 1 because a metric has no data; "
        "2 because a metric does not say whether it is delta or cumulative"
    )


def test_a_metric_without_points_is_nothing() -> None:
    made = Metric(name="m")
    made.gauge.SetInParent()
    found = decode(made)
    assert (found.accepted, found.rejected, found.batches) == (0, 0, {})


def test_labels_with_a_key_twice() -> None:
    doubled = [*key_values({"a": 1, "b": 2}), *key_values({"a": 3})]
    assert rows(decode(gauge(attributes=doubled)), "streams")[0]["labels"] == '{"a":3,"b":2}'


def test_more_points_than_the_store_numbers_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_limit, "MAX_ROWS", 10)
    made = gauge()
    for _ in range(10):
        made.gauge.data_points.add(as_int=1, **TIMES)
    with pytest.raises(TooLarge):
        decode(made)


def from_json(point: dict[str, Any], kind: str = "gauge", **data: Any) -> Decoded:
    points = [{"timeUnixNano": str(BASE_NS)} | point]
    metric = {"name": "m", kind: data | {"dataPoints": points}}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    return received("metrics", json.dumps(body).encode(), "json")


@pytest.mark.parametrize(
    ("point", "kept"),
    [
        ({"asInt": "5"}, (5.0, 5, 1)),
        ({"asInt": 5}, (5.0, 5, 1)),
        ({"asInt": "0"}, (0.0, 0, 1)),
        ({"asInt": "-9223372036854775808"}, (-float(2**63), -(2**63), 1)),
        ({"asDouble": 5}, (5.0, 0, 0)),
        ({"asDouble": "5.5"}, (5.5, 0, 0)),
        ({"asDouble": "-Infinity"}, (-math.inf, 0, 0)),
        ({"asDouble": 2**64}, (float(2**64), 0, 0)),
        ({"asInt": None, "asDouble": 1}, (1.0, 0, 0)),
    ],
)
def test_numbers_as_json_may_write_them(point: dict[str, Any], kept: tuple[Any, ...]) -> None:
    [row] = rows(from_json(point), "points")
    assert (row["value"], row["whole"], row["is_whole"]) == kept


@pytest.mark.parametrize("name", [1, "1", "AGGREGATION_TEMPORALITY_DELTA"])
def test_temporality_as_json_may_write_it(name: Any) -> None:
    found = from_json({"asInt": 1}, "sum", aggregationTemporality=name)
    assert rows(found, "streams")[0]["temporality"] == "delta"


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ({"asInt": str(2**63)}, "a whole number has more than 64 bits"),
        ({"asInt": None}, "a point has no value"),
        ({"asInt": 1, "timeUnixNano": "-5"}, "a time is not between 1970 and 2262"),
        ({"asInt": 1, "startTimeUnixNano": -5}, "a time is not between 1970 and 2262"),
    ],
)
def test_points_of_json_that_are_unfit(point: dict[str, Any], reason: str) -> None:
    assert from_json(point).reason == f"1 because {reason}"


@pytest.mark.parametrize(
    "point",
    [
        {"asInt": "99999999999999999999"},
        {"asInt": 1.5},
        {"asInt": True},
        {"asDouble": "1e400"},
        {"asDouble": []},
    ],
)
def test_json_that_says_nothing_clear_is_refused(point: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        from_json(point)
