"""Traces over HTTP: what was sent comes back, found by any filter, in any order, seen at once by who sent it."""

from __future__ import annotations

import math

import httpx
import pytest

from tests.server.api import TIME, check_error
from tests.server.telemetry import Telemetry, where
from tests.server.telemetry_samples import family, new_id, odd_spans, text_of
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan
from tests.telemetry.span_oracle import root_of, shown


@pytest.fixture(scope="module")
def spans(telemetry: Telemetry) -> list[PlainSpan]:
    """Three families, and spans of every oddness."""
    found = family("one") + family("two", flag=True) + family("three", score=1.5) + odd_spans()
    telemetry.send(found)
    return found


def test_a_span_comes_back_as_it_was_sent(telemetry: Telemetry, spans: list[PlainSpan]) -> None:
    for span in spans:
        found = telemetry.span(span)
        parent = {} if span.parent is None else {"parent_span_id": span.parent_span_id}
        attributes = {"attributes": shown(span.attributes)} if span.attributes else {}
        assert found.pop("attributes", {}) == shown(span.attributes)
        assert found == parent | {
            "span_id": span.span_id,
            "trace_id": span.trace_id,
            "name": span.name,
            "start_time": text_of(span.start_ns),
            "end_time": text_of(span.end_ns),
        }, attributes
        assert TIME.fullmatch(found["start_time"])


def test_types_are_told_apart(telemetry: Telemetry, spans: list[PlainSpan]) -> None:
    [odd] = [span for span in spans if span.name == "orphan"]
    text = telemetry.get(f"traces/{odd.trace_id}/spans/{odd.span_id}").text
    for piece in ('"integer":9223372036854775807', '"whole float":1.0', '"yes":true', '"nothing":null', '"nan":"NaN"',
                  '"minus infinity":"-Infinity"', '"bytes":"AP8gYnl0ZXM="', '"zero":0'):  # fmt: skip
        assert piece in text


def test_a_trace_has_its_root_and_its_times(telemetry: Telemetry, spans: list[PlainSpan]) -> None:
    for trace_id in {span.trace_id for span in spans}:
        own = [span for span in spans if span.trace_id == trace_id]
        found = telemetry.trace(trace_id)
        assert set(found) == {"trace_id", "root_span_id", "start_time", "end_time"}
        assert found["start_time"] == text_of(min(span.start_ns for span in own))
        assert found["end_time"] == text_of(max(span.end_ns for span in own))
        assert int(found["root_span_id"], 16) in root_of(own)


def test_details(telemetry: Telemetry) -> None:
    root = PlainSpan(trace=new_id(128), span=new_id(), name="the root", resource={"service.name": "shop"})
    calls = [
        PlainSpan(
            trace=root.trace,
            span=new_id(),
            parent=root.span,
            status=number,
            start_ns=BASE_NS + 5,
            attributes={
                "gen_ai.response.model": f"gpt-{number}",
                "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.output_tokens": number,
            },
        )
        for number in (1, 2)
    ]
    telemetry.send([*calls, root])
    [found] = telemetry.details(where("trace_id", "eq", root.trace_id))
    contract = {key: found.pop(key) for key in ("trace_id", "root_span_id", "start_time", "end_time")}
    assert contract == telemetry.trace(root.trace_id)
    assert sorted(found.pop("models")) == ["gpt-1", "gpt-2"]
    assert found == {
        "name": "the root",
        "service": "shop",
        "status": "error",
        "span_count": 3,
        "error_count": 1,
        "input_tokens": 20,
        "output_tokens": 3,
    }


def test_tokens_that_are_repeated_upwards_count_once(telemetry: Telemetry) -> None:
    """An agent's span repeats its calls' tokens, and a client's span those of the server that it asked. The parents
    come after their children, as senders do it, and some spans come twice."""

    def span(parent: int | None, tokens: tuple[int, int] | None) -> PlainSpan:
        names = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
        attributes = dict(zip(names, tokens, strict=True)) if tokens else {}
        return PlainSpan(trace=trace, span=new_id(), parent=parent, attributes=attributes)

    trace = new_id(128)
    agent = span(None, (113, 11))
    client = span(agent.span, (56, 5))
    server = span(client.span, None)
    calls = [span(server.span, (56, 5)), span(agent.span, (57, 6))]
    for sent in ([calls[0]], [calls[1], client], [client, agent, calls[0]], [server]):
        telemetry.send(sent)
    [found] = telemetry.details(where("trace_id", "eq", agent.trace_id))
    assert (found["input_tokens"], found["output_tokens"]) == (113, 11)


def test_spans_that_come_late_and_twice(telemetry: Telemetry) -> None:
    """A child before its parent, a span three days late, and everything a second time."""
    trace = new_id(128)
    child = PlainSpan(trace=trace, span=new_id(), parent=new_id(), name="child", attributes={"late": "yes"})
    telemetry.send([child])
    assert telemetry.trace(child.trace_id)["root_span_id"] == child.span_id
    parent = PlainSpan(
        trace=trace, span=child.parent or 0, name="parent", start_ns=BASE_NS - 3 * 86_400 * 10**9
    )
    telemetry.send([parent, child])
    found = telemetry.trace(child.trace_id)
    assert found["root_span_id"] == parent.span_id and found["start_time"] == text_of(parent.start_ns)
    assert [one["name"] for one in telemetry.trace_spans(child.trace_id)] == ["parent", "child"]
    assert len(telemetry.spans(where("late", "eq", "yes"))) == 1
    assert telemetry.details(where("trace_id", "eq", child.trace_id))[0]["span_count"] == 2


def test_all_that_is_known_of_a_span(telemetry: Telemetry) -> None:
    span = PlainSpan(
        trace=new_id(128),
        span=new_id(),
        kind=3,
        status=2,
        message="did not work",
        attributes={"a": 1},
        resource={"service.name": "shop", "number": 5},
        scope="a.library",
        events=[(BASE_NS + 1_500, "exception", {"exception.type": "ValueError", "n": math.nan})],
        links=[(new_id(128), new_id(), {"why": "because"})],
    )
    telemetry.send([span])
    [found] = telemetry.trace_spans(span.trace_id)
    link_trace, link_span, _ = span.links[0]
    assert (
        found["kind"] == "client" and found["status"] == "error" and found["status_message"] == "did not work"
    )
    assert found["resource"] == {"service.name": "shop", "number": 5} and found["scope"] == {
        "name": "a.library"
    }
    assert found["events"] == [
        {
            "time": text_of(BASE_NS + 1_500),
            "name": "exception",
            "attributes": {"exception.type": "ValueError", "n": "NaN"},
        }
    ]
    assert found["links"] == [
        {"trace_id": f"{link_trace:032x}", "span_id": f"{link_span:016x}", "attributes": {"why": "because"}}
    ]


@pytest.mark.parametrize(
    "path",
    ["traces/{}", "traces/{}/spans", "traces/{}/spans/00000000000000aa"],
)
@pytest.mark.parametrize(
    "trace_id", ["0" * 31 + "1", "f" * 32, "abc", "x" * 32, "'; DROP TABLE traces", "%ff", "0" * 33]
)
def test_unknown_traces(telemetry: Telemetry, path: str, trace_id: str) -> None:
    check_error(telemetry.get(path.format(trace_id)), 404)


def test_a_span_is_looked_up_within_its_trace(telemetry: Telemetry, spans: list[PlainSpan]) -> None:
    one, other = spans[0], spans[5]
    check_error(
        telemetry.get(f"traces/{one.trace_id}/spans/{other.span_id}"), 404, other.span_id, one.trace_id
    )
    assert telemetry.get(f"traces/{one.trace_id.upper()}/spans/{one.span_id.upper()}").status_code == 200


def test_the_older_prefix(client: httpx.Client, spans: list[PlainSpan]) -> None:
    older = Telemetry(client, "/v1")
    assert older.trace(spans[0].trace_id)["trace_id"] == spans[0].trace_id
    assert older.traces(where("family", "eq", "one"))


def test_bodies_may_be_absent(telemetry: Telemetry, spans: list[PlainSpan]) -> None:
    assert len(telemetry.http.post(f"{telemetry.path}/traces").raise_for_status().json()["data"]) <= 100
    for nothing in ({}, {"attribute_filters": None, "limit": None, "offset": None, "order_by": None}):
        assert telemetry.post("traces", nothing).raise_for_status().json()["data"]
