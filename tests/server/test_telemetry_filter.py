"""Filters over HTTP find what they mean: traces by some span for each, spans by all of them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.telemetry import Telemetry, where
from tests.server.telemetry_samples import EVERY_TYPE, family, new_id, odd_spans, text_of
from tests.telemetry.otlp_requests import PlainSpan
from tests.telemetry.span_oracle import matching_traces, meets, shown


@pytest.fixture(scope="module")
def spans(telemetry: Telemetry) -> list[PlainSpan]:
    """Three families, and spans of every oddness."""
    found = family("one") + family("two", flag=True) + family("three", score=1.5) + odd_spans()
    telemetry.send(found)
    return found


FILTERS: list[list[dict[str, Any]]] = [
    [where("family", "eq", "one")],
    [where("family", "eq", "no one")],
    [where("family", "eq", "one"), where("family", "eq", "two")],
    [where("family", "ne", None), where("number", "gt", 3)],
    [where("family", "ne", None), where("number", "lt", 1.5)],
    [where("number", "eq", 3.0), where("family", "gt", "p")],
    [where("family", "eq", "two"), where("flag", "eq", True)],
    [where("family", "ne", None), where("flag", "eq", 1)],
    [where("family", "ne", None), where("flag", "eq", "true")],
    [where("family", "ne", None), where("score", "gt", 1)],
    [where("resource.service.name", "eq", "service three")],
    [where("resource.service.name", "lt", "service p"), where("family", "ne", None)],
    [where("span.name", "eq", "step 4"), where("family", "ne", None)],
    [where("span.kind", "eq", "client"), where("family", "ne", None)],
    [where("span.status", "eq", "error"), where("family", "ne", None)],
    [where("span.duration_ms", "lt", 47), where("family", "ne", None)],
    [where("span.duration_ms", "eq", 50.000001), where("family", "ne", None)],
    [where("array", "eq", shown(EVERY_TYPE["array"]))],
    [where("array", "eq", ["a"]), where("family", "ne", None)],
    [where("object", "eq", {"a.b": 2.0, "": 1, "nested": {"deeper": [1.0, {"x": "y"}]}})],
    [where("nan", "eq", "NaN")],
    [where("bytes", "eq", "AP8gYnl0ZXM=")],
    [where("nothing", "ne", None)],
    [where("integer", "eq", 2**63 - 1)],
    [where("integer", "gt", 2**63 - 2)],
    [where("integer", "gt", float(2**63))],
    [where("a'; DROP TABLE spans; --", "eq", "'; DROP TABLE spans; --")],
    [where("long", "gt", "x" * 60_000), where("empty", "eq", "")],
    [where("attributes.family", "eq", "one")],
]


@pytest.mark.parametrize("filters", FILTERS, ids=range(len(FILTERS)))
def test_filters_find_what_they_mean(
    telemetry: Telemetry, spans: list[PlainSpan], filters: list[dict[str, Any]]
) -> None:
    ours = {span.trace_id for span in spans}
    found = [trace["trace_id"] for trace in telemetry.traces(*filters, limit=-1)]
    assert len(set(found)) == len(found)
    assert set(found) & ours == matching_traces(spans, filters)
    by_span = [(span["trace_id"], span["span_id"]) for span in telemetry.spans(*filters)]
    expected = {(span.trace_id, span.span_id) for span in spans if meets(span, filters)}
    assert {one for one in by_span if one[0] in ours} == expected and len(set(by_span)) == len(by_span)


def test_ids_and_times_as_filters(telemetry: Telemetry, spans: list[PlainSpan]) -> None:
    span = spans[3]
    for one in (where("span_id", "eq", span.span_id), where("span_id", "eq", span.span_id.upper())):
        assert [found["span_id"] for found in telemetry.spans(one)] == [span.span_id]
    assert [found["trace_id"] for found in telemetry.traces(where("trace_id", "eq", span.trace_id))] == [
        span.trace_id
    ]
    beginning = span.trace_id[:12]
    found = telemetry.traces(where("trace_id", "gt", beginning), where("trace_id", "lt", beginning + "g"))
    assert [one["trace_id"] for one in found] == [span.trace_id]
    exactly = where("span.start_time", "eq", text_of(span.start_ns))
    assert span.span_id in [one["span_id"] for one in telemetry.spans(exactly, where("family", "eq", "one"))]
    later = where("span.start_time", "gt", text_of(span.start_ns))
    assert {one["name"] for one in telemetry.spans(later, where("family", "eq", "one"))} == {"step 4"}
    assert telemetry.spans(where("trace_id", "eq", span.trace_id[:31])) == []


def test_an_attribute_named_like_an_own_field(telemetry: Telemetry) -> None:
    span = PlainSpan(
        trace=new_id(128), span=new_id(), name="real", attributes={"span.name": "attribute", "trace_id": "t"}
    )
    telemetry.send([span])
    assert [one["span_id"] for one in telemetry.spans(where("attributes.trace_id", "eq", "t"))] == [
        span.span_id
    ]
    assert (
        telemetry.spans(where("attributes.span.name", "eq", "real"), where("span_id", "eq", span.span_id))
        == []
    )
    assert telemetry.spans(where("span.name", "eq", "real"), where("span_id", "eq", span.span_id))


names = st.sampled_from(["k1", "k2", "k3"])
values = st.one_of(
    st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "1"]), st.floats(-2, 2), st.none()
)
random_filters = st.builds(
    where, st.one_of(names, names.map("resource.{}".format)), st.sampled_from(["eq", "ne"]), values
) | st.builds(
    where,
    names,
    st.sampled_from(["gt", "lt"]),
    st.one_of(st.integers(-2, 2), st.floats(-2, 2), st.text("a1", max_size=1)),
)


@pytest.fixture(scope="module")
def population(telemetry: Telemetry) -> list[PlainSpan]:
    """Two hundred spans with three attributes of few values each, and one that marks them."""
    dice = random.Random(11)
    choices: list[Any] = [True, False, -2, -1, 0, 1, 2, 1.0, -0.5, "", "a", "1", None]
    traces = [new_id(128) for _ in range(60)]
    found = [
        PlainSpan(
            trace=dice.choice(traces),
            span=new_id(),
            attributes={"population": 11}
            | {key: dice.choice(choices) for key in ("k1", "k2", "k3") if dice.random() < 0.7},
            resource={key: dice.choice(choices) for key in ("k1", "k2", "k3") if dice.random() < 0.5},
        )
        for _ in range(200)
    ]
    telemetry.send(found)
    return found


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(random_filters, min_size=1, max_size=3))
def test_random_filters(
    telemetry: Telemetry, population: list[PlainSpan], filters: list[dict[str, Any]]
) -> None:
    ours = where("population", "eq", 11)
    found = {span["span_id"] for span in telemetry.spans(ours, *filters)}
    assert found == {span.span_id for span in population if meets(span, filters)}
    traces = {trace["trace_id"] for trace in telemetry.traces(ours, *filters, limit=-1)}
    assert traces == matching_traces(population, [ours, *filters])
