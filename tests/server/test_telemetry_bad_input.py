"""Invalid queries: each is answered with its status and a detail that names the field, and has no other
effect."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.api import check_error
from tests.server.process import Replaystack
from tests.server.telemetry import Telemetry, where
from tests.server.telemetry_samples import new_id
from tests.telemetry.otlp_requests import PlainSpan

FILTER = {"key": "a", "op": "eq", "value": 1}
SPANS = {"attribute_filters": [], "attributes_to_return": []}
METRIC = {"start_time": 1_790_000_000, "end_time": 1_790_000_100, "query_type": "range"}


@pytest.fixture(autouse=True)
def still_healthy(server: Replaystack) -> Iterator[None]:
    yield
    server.check_healthy()


@pytest.mark.parametrize(
    ("path", "body", "mentions"),
    [
        ("traces", {"attribute_filter": []}, ("attribute_filter", "attribute_filters")),
        ("traces", {"atribute_filters": [], "limit": 1}, ("atribute_filters", "attribute_filters")),
        (
            "traces",
            {"attribute_filters": [FILTER | {"operator": "eq"}]},
            ("attribute_filters[0].operator",),
        ),
        ("traces", {"attribute_filters": [{"key": "a", "op": "eq"}]}, ("attribute_filters[0]", "value")),
        ("traces", {"attribute_filters": [FILTER | {"op": "ge"}]}, ("attribute_filters[0].op",)),
        ("traces", {"attribute_filters": [FILTER | {"key": None}]}, ("attribute_filters[0].key",)),
        ("traces", {"attribute_filters": [FILTER | {"key": ""}]}, ("attribute_filters[0].key",)),
        ("traces", {"attribute_filters": {}}, ("attribute_filters",)),
        ("traces", {"attribute_filters": [FILTER] * 65}, ("65 filters", "64")),
        ("traces", {"attribute_filters": [FILTER | {"value": [0] * 300}]}, ("301 values", "256")),
        (
            "traces",
            {"attribute_filters": [FILTER | {"value": "x" * 70_000}]},
            ("attribute_filters[0].value", "65536"),
        ),
        (
            "traces",
            {"attribute_filters": [FILTER | {"key": "k" * 5_000}]},
            ("attribute_filters[0].key", "4096"),
        ),
        ("traces", {"attribute_filters": [where("a", "gt", None)]}, ("null has no order",)),
        (
            "traces",
            {"attribute_filters": [where("span.start_time", "gt", "soon")]},
            ("span.start_time", "'soon'"),
        ),
        ("traces", {"attribute_filters": [where("span.kind", "eq", "sever")]}, ("server",)),
        ("traces", {"limit": -2}, ("limit is -2",)),
        ("traces", {"limit": "10"}, ("limit",)),
        ("traces", {"limit": 1.5}, ("limit",)),
        ("traces", {"offset": -1}, ("offset is -1",)),
        ("traces", {"order_by": "start_time"}, ("order_by",)),
        ("traces", {"order_by": ["start_time; DROP TABLE traces"]}, ("order_by[0]", "span_count")),
        ("traces", {"order_by": ["1) --"]}, ("order_by[0]",)),
        ("traces?details=yes", {}, ("details",)),
        ("traces", [], ("the body",)),
        ("logs", {"attribute_filter": []}, ("attribute_filter", "attribute_filters")),
        ("logs", {"attribute_filters": [FILTER] * 65}, ("65 filters", "64")),
        (
            "logs",
            {"attribute_filters": [where("log.severity", "eq", "loud")]},
            ("log.severity", "fatal", "loud"),
        ),
        ("logs", {"attribute_filters": [where("log.severity", "gt", None)]}, ("null has no order",)),
        (
            "logs",
            {"attribute_filters": [where("log.severity_number", "gt", "9")]},
            ("log.severity_number", "24"),
        ),
        ("logs", {"attribute_filters": [where("log.time", "gt", "soon")]}, ("log.time", "'soon'")),
        ("logs", {"attribute_filters": [where("log.body", "gt", [1])]}, ("an array has no order",)),
        ("logs", {"attribute_filters": [where("log.event_name", "eq", 1)]}, ("log.event_name", "a number")),
        ("logs", {"attribute_filters": [where("trace_id", "eq", 1)]}, ("trace_id", "a number")),
        ("logs", {"limit": -2}, ("limit is -2",)),
        ("logs", {"offset": -1}, ("offset is -1",)),
        ("logs", {"order_by": ["severity"]}, ("order_by", "-time")),
        ("logs", {"order_by": ["time", "time"]}, ("order_by", "-time")),
        ("logs", {"order_by": "time"}, ("order_by",)),
        ("logs", [], ("the body",)),
        ("spans", {}, ("attribute_filters",)),
        ("spans", {"attribute_filters": []}, ("attributes_to_return",)),
        ("spans", SPANS | {"attributes_to_return": None}, ("attributes_to_return",)),
        (
            "spans",
            SPANS | {"attributes_to_return": ["a"] * 2 + [str(n) for n in range(1_025)]},
            ("1026 names",),
        ),
        ("spans", SPANS | {"max_dept": 1}, ("max_dept", "max_depth")),
        ("spans", SPANS | {"max_depth": 0}, ("max_depth",)),
        ("spans", None, ("no body",)),
        ("spans/00000000000000aa/tree", {"max_depth": "deep"}, ("max_depth",)),
        ("spans/00000000000000aa/tree", {"attributes": []}, ("attributes", "attributes_to_return")),
        ("spans/export", SPANS, ("attributes_to_return", "attributes_to_save")),
        ("spans/export", {"attribute_filters": [], "attributes_to_save": []}, ("dataset_id",)),
        (
            "spans/export",
            {"attribute_filters": [], "attributes_to_save": [], "dataset_id": ""},
            ("dataset_id",),
        ),
        ("metrics/m", METRIC | {"granularity": "1w"}, ("granularity is '1w'", "1m")),
        ("metrics/m", METRIC | {"granularity": "0m"}, ("granularity",)),
        ("metrics/m", METRIC | {"end_time": 1}, ("end_time is 1, before start_time",)),
        ("metrics/m", METRIC | {"start_time": 1_790_000_000_000, "end_time": None}, ("milliseconds",)),
        ("metrics/m", METRIC | {"start_time": "now"}, ("start_time",)),
        ("metrics/m", METRIC | {"query_type": "rate"}, ("query_type",)),
        ("metrics/m", {"start_time": 5}, ("query_type",)),
        ("metrics/m", METRIC | {"step": "1m"}, ("step",)),
        (
            "metrics/m",
            METRIC | {"label_matchers": [{"name": "l", "value": "(", "operator": "=~"}]},
            ("label_matchers[0]",),
        ),
        (
            "metrics/m",
            METRIC | {"label_matchers": [{"name": "l", "value": "(?=x)", "operator": "!~"}]},
            ("RE2",),
        ),
        (
            "metrics/m",
            METRIC | {"label_matchers": [{"name": "l", "value": "x", "operator": "=="}]},
            ("operator",),
        ),
        ("metrics/m", METRIC | {"label_matchers": [{"name": "", "value": "x"}]}, ("label_matchers[0].name",)),
        ("metrics/m", METRIC | {"label_matchers": [{"name": "l", "value": "x"}] * 65}, ("65 matchers",)),
        ("metrics/" + "m" * 1_025, METRIC, ("metric_name", "1024")),
        ("metrics/m", None, ("no body",)),
    ],
)
def test_what_is_refused(telemetry: Telemetry, path: str, body: Any, mentions: tuple[str, ...]) -> None:
    content = None if body is None else json.dumps(body).encode()
    answer = telemetry.http.post(
        f"{telemetry.path}/{path}", content=content, headers={"content-type": "application/json"}
    )
    error = check_error(answer, 400, *mentions)
    assert len(error["detail"]) < 500


POISON = [
    "'",
    '"',
    "'; DROP TABLE spans; --",
    "') OR 1=1 --",
    "$p0",
    "?",
    "\\",
    "\x00",
    "%",
    "/",
    "~0~1",
    "$.a",
    "$[*]",
    "now.spans",
    "{{7*7}}",
    "\u202e",
    "🚀",
]


@pytest.mark.parametrize("poison", POISON)
def test_sql_in_keys_and_values_is_text(telemetry: Telemetry, poison: str) -> None:
    span = PlainSpan(
        trace=new_id(128),
        span=new_id(),
        name=poison,
        attributes={poison: poison, "list": [poison], "object": {poison: 1}},
        resource={poison: poison},
    )
    telemetry.send([span])
    here = where("trace_id", "eq", span.trace_id)
    for filters in (
        [where(f"attributes.{poison}", "eq", poison)],
        [where(f"resource.{poison}", "eq", poison)],
        [where("span.name", "eq", poison)],
        [where("list", "eq", [poison])],
        [where("object", "eq", {poison: 1})],
    ):
        assert [one["span_id"] for one in telemetry.spans(here, *filters)] == [span.span_id]
        assert [one["trace_id"] for one in telemetry.traces(here, *filters)] == [span.trace_id]
    assert telemetry.spans(here, where("span.name", "eq", poison + "x")) == []
    found = telemetry.spans(here, returning=[poison])
    assert found[0]["attributes"] == {poison: poison}


def test_a_metric_with_any_name_is_unknown(telemetry: Telemetry) -> None:
    for name in ("nothing", "a/b", "'; DROP TABLE points; --", "%E6%BC%A2", "%00", "..%2F", "%ff"):
        answer = telemetry.post(f"metrics/{name}", METRIC)
        assert answer.status_code == 200 and answer.json() == {"data": []}, name


def test_patterns_that_would_explode_take_no_time(telemetry: Telemetry) -> None:
    began = time.monotonic()
    for pattern in ("(a*)*b", "(a|aa)+$", "(x+x+)+y", "((a{0,100}){0,100}){0,100}"):
        matchers = [{"name": "l", "value": pattern, "operator": "=~"}] * 8
        answer = telemetry.post("metrics/nothing", METRIC | {"label_matchers": matchers})
        assert answer.status_code in (200, 400)
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_the_most_that_filters_may_be(telemetry: Telemetry) -> None:
    began = time.monotonic()
    filters = [where(f"key {number}", "eq", ["x" * 1_000, number, {"a": None}]) for number in range(50)]
    assert telemetry.spans(*filters) == []
    assert telemetry.traces(*filters) == []
    filters = [where("key", "ne", "x" * 60_000) for _ in range(10)]
    assert telemetry.traces(*filters, limit=1)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["spans", "traces", "metrics/m", "spans/export"])
def test_other_methods(telemetry: Telemetry, method: str, path: str) -> None:
    answer = telemetry.http.request(method, f"{telemetry.path}/{path}")
    check_error(answer, 405)
