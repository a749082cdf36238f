"""Metrics over HTTP: sent as OTLP, asked for by name, time and labels."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from tests.server.telemetry import Telemetry
from tests.telemetry.otlp_metrics import PlainPoint, metrics_request

NS = 10**9
BASE_S = 1_790_000_040
"""A whole minute."""


def send(telemetry: Telemetry, *points: PlainPoint) -> None:
    telemetry.send_raw("metrics", metrics_request(points))


def at(seconds: float) -> int:
    return BASE_S * NS + int(seconds * NS)


def ask(telemetry: Telemetry, name: str, **asked: Any) -> list[dict[str, Any]]:
    body = {
        "query_type": "range",
        "start_time": BASE_S,
        "end_time": BASE_S + 299,
        "granularity": "1m",
    } | asked
    return telemetry.metric(name, **{key: value for key, value in body.items() if value is not ...})


def values(series: dict[str, Any]) -> list[tuple[int, Any]]:
    return [(point["timestamp"] - BASE_S, point["value"]) for point in series["values"]]


def labels(series: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in series["labels"]}


@pytest.fixture(scope="module")
def requests(telemetry: Telemetry) -> str:
    """A counter of two processes; one of them is restarted at 130 s."""
    name = "test.requests"
    for process, points in {
        "a": [(-10, 5, -20), (10, 7, -20), (70, 10, -20), (130, 2, 125), (190, 6, 125)],
        "b": [(15, 3, 5), (75, 3, 5), (135, 4, 5)],
    }.items():
        send(
            telemetry,
            *[
                PlainPoint(
                    metric=name,
                    kind="sum",
                    unit="{request}",
                    value=value,
                    time_ns=at(when),
                    start_ns=at(start),
                    labels={"route": "/x", "code": 200},
                    resource={"service.instance.id": process},
                )
                for when, value, start in points
            ],
        )
    send(
        telemetry,
        PlainPoint(metric=name, kind="sum", value=9, time_ns=at(50), start_ns=at(40), labels={"route": "/y"}),
    )
    return name


def test_increases_of_a_counter(telemetry: Telemetry, requests: str) -> None:
    x, y = ask(telemetry, requests)
    assert (x["metric"], labels(x), labels(y)) == (requests, {"route": "/x", "code": "200"}, {"route": "/y"})
    assert values(x) == [(0, 2 + 3), (60, 3 + 0), (120, 2 + 1), (180, 4)]
    assert values(y) == [(0, 9)]
    assert {point["unit"] for point in x["values"]} == {"{request}"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"granularity": "2m"}, [(0, 8), (120, 7)]),
        ({"granularity": "1h"}, [(-BASE_S % 3600 - 3600, 15)]),
        ({"granularity": "7s", "end_time": BASE_S + 20}, None),
        ({"start_time": BASE_S + 60}, [(60, 3), (120, 3), (180, 4)]),
        ({"query_type": "instant"}, [(299, 15)]),
        ({"query_type": "instant", "granularity": ..., "end_time": BASE_S + 60}, [(60, 5)]),
        ({"end_time": BASE_S + 10}, [(0, 2)]),
        ({"end_time": BASE_S + 9}, []),
    ],
)
def test_times_and_buckets(telemetry: Telemetry, requests: str, asked: dict[str, Any], expected: Any) -> None:
    matchers = [{"name": "route", "value": "/x"}]
    series = ask(telemetry, requests, label_matchers=matchers, **asked)
    found = values(series[0]) if series else []
    if expected is None:
        assert [value for _, value in found] == [2, 3]
        assert all((when + BASE_S) % 7 == 0 for when, _ in found)
    else:
        assert found == expected


def test_points_as_they_came(telemetry: Telemetry, requests: str) -> None:
    x, y = ask(telemetry, requests, granularity=...)
    assert values(x) == [(10, 7), (15, 3), (70, 10), (75, 3), (130, 2), (135, 4), (190, 6)]
    assert values(y) == [(50, 9)]


@pytest.mark.parametrize(
    ("matchers", "routes"),
    [
        ([], {"/x", "/y"}),
        ([("route", "=", "/x")], {"/x"}),
        ([("route", "!=", "/x")], {"/y"}),
        ([("route", "=~", "/.")], {"/x", "/y"}),
        ([("route", "=~", "/")], set()),
        ([("route", "!~", "/x|/z")], {"/y"}),
        ([("code", "=", "200")], {"/x"}),
        ([("code", "=", "")], {"/y"}),
        ([("route", "=~", ".*"), ("code", "=~", "2..")], {"/x"}),
        ([("nothing", "!=", "x")], {"/x", "/y"}),
        ([("resource.service.instance.id", "=", "b")], {"/x"}),
    ],
)
def test_labels_are_matched(
    telemetry: Telemetry, requests: str, matchers: list[tuple[str, str, str]], routes: set[str]
) -> None:
    asked = [{"name": name, "operator": operator, "value": value} for name, operator, value in matchers]
    assert {labels(series)["route"] for series in ask(telemetry, requests, label_matchers=asked)} == routes


def test_gauges_levels_and_differences(telemetry: Telemetry) -> None:
    send(
        telemetry,
        PlainPoint(metric="test.gauge", value=1.5, time_ns=at(1)),
        PlainPoint(metric="test.gauge", value=2.5, time_ns=at(59)),
        PlainPoint(metric="test.gauge", value=math.nan, time_ns=at(61)),
        PlainPoint(metric="test.gauge", value=-math.inf, time_ns=at(121)),
        *[
            PlainPoint(
                metric="test.level",
                kind="sum",
                monotonic=False,
                value=value,
                time_ns=at(when),
                resource={"n": n},
            )
            for when, value, n in [(1, 5, 1), (2, 7, 2), (30, 3, 1), (70, 1, 1)]
        ],
        *[
            PlainPoint(
                metric="test.delta",
                kind="sum",
                temporality="delta",
                value=value,
                time_ns=at(when),
                start_ns=at(when - 1),
            )
            for when, value in [(1, 2.0), (2, 3.0), (61, 0.5)]
        ],
    )
    assert values(ask(telemetry, "test.gauge")[0]) == [(0, 2.5), (60, "NaN"), (120, "-Infinity")]
    assert values(ask(telemetry, "test.level")[0]) == [(0, 10), (60, 1)]
    assert values(ask(telemetry, "test.delta")[0]) == [(0, 5.0), (60, 0.5)]


def test_histograms(telemetry: Telemetry) -> None:
    send(
        telemetry,
        *[
            PlainPoint(
                metric="test.latency",
                kind="histogram",
                unit="s",
                value=(count, total, [0.5, 1.0], counts),
                time_ns=at(when),
                start_ns=at(0),
                labels={"model": "m"},
            )
            for when, count, total, counts in [
                (10, 4, 2.0, [3, 1, 0]),
                (70, 10, 8.0, [3, 6, 1]),
                (130, 10, 8.0, [3, 6, 1]),
            ]
        ],
    )
    [mean] = ask(telemetry, "test.latency")
    assert values(mean) == [(0, 0.5), (60, 1.0)] and mean["values"][0]["unit"] == "s"
    [count] = ask(telemetry, "test.latency_count")
    assert values(count) == [(0, 4), (60, 6), (120, 0)] and count["values"][0]["unit"] == "1"
    [total] = ask(telemetry, "test.latency_sum")
    assert values(total) == [(0, 2.0), (60, 6.0), (120, 0.0)]
    buckets = {labels(one)["le"]: values(one) for one in ask(telemetry, "test.latency_bucket")}
    assert buckets == {
        "0.5": [(0, 3), (60, 0), (120, 0)],
        "1": [(0, 4), (60, 5), (120, 0)],
        "+Inf": [(0, 4), (60, 6), (120, 0)],
    }
    only = ask(
        telemetry,
        "test.latency_bucket",
        label_matchers=[{"name": "le", "value": "1"}, {"name": "model", "value": "m"}],
    )
    assert [labels(one) for one in only] == [{"le": "1", "model": "m"}]


def test_a_metric_that_changes_its_type(telemetry: Telemetry) -> None:
    send(
        telemetry, PlainPoint(metric="test.changing", kind="sum", temporality="delta", value=5, time_ns=at(1))
    )
    send(telemetry, PlainPoint(metric="test.changing", value=7.5, unit="s", time_ns=at(61)))
    [series] = ask(telemetry, "test.changing")
    assert values(series) == [(0, 5), (60, 7.5)]
    assert [point["unit"] for point in series["values"]] == ["1", "s"]


def test_what_was_just_sent_is_there(telemetry: Telemetry) -> None:
    """Without an end the query goes up to now; an end in the past second leaves nothing of that out."""
    now_ns = time.time_ns()
    send(telemetry, PlainPoint(metric="test.now", value=1.0, time_ns=now_ns))
    for end in (..., None, now_ns // NS):
        asked = {"start_time": now_ns // NS - 1, "end_time": end, "granularity": "1s"}
        [series] = ask(telemetry, "test.now", **asked)
        assert [point["timestamp"] for point in series["values"]] == [now_ns // NS]


def test_a_name_with_a_slash_and_a_null(telemetry: Telemetry) -> None:
    send(telemetry, PlainPoint(metric="queue/length", value=1.0, time_ns=at(1)))
    assert values(ask(telemetry, "queue/length", granularity=None, label_matchers=None)[0]) == [(1, 1.0)]
    assert values(ask(telemetry, "queue%2Flength")[0]) == [(0, 1.0)]
    assert ask(telemetry, "nothing") == []
