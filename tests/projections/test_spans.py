"""Spans and traces from the store, recent and stored ones, against the plainest reading over random spans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import span_store, time_windows
from projections import spans as span_views
from projections import traces as trace_views
from schemas.api.telemetry import QueryCondition
from schemas.telemetry_query import OrderKey, TraceOrder, TraceQuery
from telemetry.query.parse_filters import parse_filters
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan
from tests.telemetry.span_oracle import matching_traces, meets, root_of, shown, tokens_of
from tests.telemetry.stored_telemetry import StoredTelemetry

NEWEST_FIRST = (OrderKey("start_time", descending=True),)
values = st.sampled_from(
    [None, True, False, 0, 1, 1.0, -1, 0.5, 2**63 - 1, 2.0**53, "", "1", "a", "é\x1e", [1, "a"], {"a": 1}]
)
attributes = st.dictionaries(st.sampled_from(["k", "l", "k.l", "\x1e"]), values, max_size=3)


@st.composite
def populations(draw: st.DrawFn) -> list[PlainSpan]:
    """Spans of a few traces, each known once, in any order; parents before and after their children, or missing."""
    keys = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), unique=True, max_size=14))
    return [
        PlainSpan(
            trace=trace << 90,
            span=span,
            parent=draw(st.sampled_from([None, None, 1, 2, 3, 99])),
            name=draw(st.sampled_from(["a", "b", "c"])),
            kind=draw(st.integers(0, 5)),
            status=draw(st.integers(0, 2)),
            start_ns=BASE_NS + draw(st.integers(0, 30)) * 1_000,
            end_ns=BASE_NS + draw(st.integers(30, 60)) * 1_000,
            attributes=draw(attributes),
            resource=draw(st.sampled_from([{}, {"k": 1}, {"k": "a", "service.name": "shop"}])),
        )
        for trace, span in keys
    ]


filters = st.builds(
    lambda key, op, value: {"key": key, "op": op, "value": value},
    st.sampled_from(["k", "l", "k.l", "\x1e", "resource.k"]),
    st.sampled_from(["eq", "ne"]),
    values,
) | st.sampled_from(
    [
        {"key": "k", "op": "gt", "value": 0},
        {"key": "k", "op": "lt", "value": "b"},
        {"key": "span.status", "op": "eq", "value": "error"},
        {"key": "span.kind", "op": "ne", "value": "server"},
        {"key": "span.name", "op": "gt", "value": "a"},
        {"key": "span.duration_ms", "op": "gt", "value": 0.03},
    ]
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredTelemetry]:
    made = StoredTelemetry(tmp_path_factory.mktemp("spans"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few spans fill several."""
    monkeypatch.setattr(time_windows, "FIRST_SPANS", 1)
    monkeypatch.setattr(time_windows, "GROWTH", 3)


def filled(store: StoredTelemetry, data: st.DataObject) -> list[PlainSpan]:
    """Spans in the store: in batches, some of them moved to the stored ones in between."""
    spans = data.draw(populations())
    store.clear()
    at = 0
    while at < len(spans):
        count = data.draw(st.integers(1, 6))
        store.add(spans[at : at + count])
        store.move(data.draw(st.integers(0, 6)))
        at += count
    return spans


relaxed = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def conditions(found: Sequence[dict[str, Any]]) -> Any:
    return parse_filters([QueryCondition(**one) for one in found])


@pytest.mark.slow
@relaxed
@given(st.data())
def test_the_newest_that_meet_filters(store: StoredTelemetry, data: st.DataObject) -> None:
    spans = filled(store, data)
    for _ in range(4):
        asked = data.draw(st.lists(filters, max_size=3))
        limit = data.draw(st.integers(0, 15))
        expected = [span for span in spans if meets(span, asked)]
        with store.warehouse.snapshot() as snapshot:
            rows = span_views.newest(snapshot, conditions(asked), limit)
            keys = span_views.keys_of_matching(snapshot, conditions(asked), 100)
        assert len(rows) == min(limit, len(expected)), asked
        found = {(row.trace.int, row.span) for row in rows}
        assert found <= {(span.trace, span.span) for span in expected} and len(found) == len(rows)
        starts = sorted((span.start_ns for span in expected), reverse=True)[:limit]
        assert [row.start_ns for row in rows] == starts
        assert {(key.trace.int, key.span) for key in keys} == {(span.trace, span.span) for span in expected}
        assert [key.start_ns for key in keys] == sorted(key.start_ns for key in keys)


@pytest.mark.slow
@relaxed
@given(st.data())
def test_traces_that_match(store: StoredTelemetry, data: st.DataObject) -> None:
    spans = filled(store, data)
    for _ in range(4):
        asked = data.draw(st.lists(filters, max_size=3))
        by: TraceOrder = data.draw(
            st.sampled_from(["start_time", "end_time", "duration", "status", "span_count"])
        )
        order = (OrderKey(by, descending=data.draw(st.booleans())),)
        limit, offset = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 3))
        with store.warehouse.snapshot() as snapshot:
            rows = trace_views.found(snapshot, TraceQuery(conditions(asked), order, limit, offset), limit)
        by_trace = {
            trace_id: [span for span in spans if span.trace_id == trace_id]
            for trace_id in matching_traces(spans, asked)
        }
        keys = sorted((_key(found, by) for found in by_trace.values()), reverse=order[0].descending)
        assert [_key(by_trace[row.trace.hex], by) for row in rows] == keys[offset : offset + limit], (
            asked,
            order,
        )
        for row in rows:
            own = by_trace[row.trace.hex]
            assert row.root_span in root_of(own)
            assert (row.start_ns, row.end_ns) == (min(s.start_ns for s in own), max(s.end_ns for s in own))
            assert (row.span_count, row.error_count) == (len(own), sum(s.status == 2 for s in own))
            assert row.name == next(s.name for s in own if s.span == row.root_span)


def _key(spans: list[PlainSpan], by: str) -> Any:
    start, end = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    return {
        "start_time": start,
        "end_time": end,
        "duration": end - start,
        "status": any(span.status == 2 for span in spans),
        "span_count": len(spans),
    }[by]


@pytest.mark.slow
@relaxed
@given(st.data())
def test_one_trace_and_one_span(store: StoredTelemetry, data: st.DataObject) -> None:
    spans = filled(store, data)
    with store.warehouse.snapshot() as snapshot:
        for span in spans:
            row = span_views.one(snapshot, UUID(int=span.trace), span.span)
            assert row is not None and row.attributes is not None
            assert json.loads(row.attributes) == shown(span.attributes)
            assert (row.name, row.parent, row.start_ns, row.end_ns) == (
                span.name,
                span.parent,
                span.start_ns,
                span.end_ns,
            )
            latest = max(one.start_ns for one in spans if one.span == span.span)
            trace = span_views.newest_trace_with(snapshot, span.span)
            assert trace and latest in {
                s.start_ns for s in spans if s.trace == trace.int and s.span == span.span
            }
        for trace_number in {span.trace for span in spans}:
            own = {span.span for span in spans if span.trace == trace_number}
            assert {row.span for row in span_views.of_trace(snapshot, UUID(int=trace_number), 100)} == own
            assert {key.span for key in span_views.keys(snapshot, [UUID(int=trace_number)], 100)} == own
            row = trace_views.one(snapshot, UUID(int=trace_number))
            assert row is not None and row.span_count == len(own)
        assert (
            span_views.one(snapshot, UUID(int=12345), 1) is None
            and trace_views.one(snapshot, UUID(int=5)) is None
        )


def test_large_texts_are_read_when_they_are_wanted(store: StoredTelemetry) -> None:
    store.clear()
    text = "x" * 20_000
    spans = [
        PlainSpan(trace=1, span=n, start_ns=BASE_NS + n, attributes={"t": text if n % 2 else "y"})
        for n in range(1, 11)
    ]
    store.add(spans)
    store.move(5)
    with store.warehouse.snapshot() as snapshot:
        rows = span_views.newest(snapshot, (), 10)
        assert [row.attributes is None for row in rows] == [row.span % 2 == 1 for row in rows]
        kept = span_views.fill(snapshot, rows, 50_000)
        assert [row.span for row in kept] == [10, 9, 8, 7, 6]
        assert all(row.attributes and json.loads(row.attributes)["t"] in (text, "y") for row in kept)
        assert len(span_views.fill(snapshot, rows[1:], 10)) == 1


def test_what_else_is_known(store: StoredTelemetry) -> None:
    store.clear()
    span = PlainSpan(trace=1, span=2, kind=3, message="no", resource={"service.name": "shop"}, scope="lib",
                     events=[(5, "e", {"a": 1})], links=[(7, 8, {})])  # fmt: skip
    store.add([span])
    with store.warehouse.snapshot() as snapshot:
        [row] = span_views.newest(snapshot, (), 10)
        details = span_views.details(snapshot, [row.number])[row.number]
        [trace] = trace_views.found(snapshot, TraceQuery((), NEWEST_FIRST, 5, 0), 5)
        assert trace_views.services(snapshot, [trace.resource_id]) == {trace.resource_id: "shop"}
        [seen] = snapshot.rows("SELECT kind, resource, scope_name, duration_ms FROM now.spans", {})
    assert (details.kind, details.status_message, details.scope_name) == (3, "no", "lib")
    assert json.loads(details.events or "") == [{"time_ns": 5, "name": "e", "attributes": {"a": 1}}]
    assert json.loads(details.resource or "") == {"service.name": "shop"}
    assert seen == ("client", '{"service.name":"shop"}', "lib", 1.0)


def test_windows_grow_until_they_hold_everything(store: StoredTelemetry) -> None:
    store.clear()
    with store.warehouse.snapshot() as snapshot:
        assert list(time_windows.windows(snapshot)) == [None]
    store.add([PlainSpan(trace=n, span=n, start_ns=BASE_NS + n * 100) for n in range(1, 11)])
    with store.warehouse.snapshot() as snapshot:
        found = list(time_windows.windows(snapshot))
    assert found == [BASE_NS + 1_000 - 90, BASE_NS + 1_000 - 270, BASE_NS + 1_000 - 810, None]


INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
tokens = st.dictionaries(
    st.sampled_from([INPUT, OUTPUT]), st.sampled_from([0, 1, 10, 100, 2**62, 2**63 - 1]), max_size=2
)


@pytest.mark.slow
@relaxed
@given(st.data(), st.sampled_from([0, 3, 10**6]))
def test_tokens_count_once_along_each_branch(store: StoredTelemetry, data: st.DataObject, most: int) -> None:
    """In whatever order and requests spans arrive, also when stored meanwhile, and regardless of who counts: for `most` spans
    the writer, for the others the reader."""
    spans = data.draw(populations())
    for span in spans:
        span.attributes = data.draw(tokens)
        span.parent = data.draw(st.sampled_from([None, 1, 2, 3, 4, 5, 6, 99]))
    store.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(span_store, "MAX_COUNTED", most)
        at = 0
        while at < len(spans):
            count = data.draw(st.integers(1, 6))
            store.add(spans[at : at + count])
            store.move(data.draw(st.integers(0, 6)))
            at += count
        _check_tokens(store, spans)
        kept = data.draw(st.integers(1, 4))
        store.build.forget_before(store.warehouse, kept)
        with store.warehouse.snapshot() as snapshot:
            left = set(snapshot.rows("SELECT trace_id, span_id FROM now.spans", {}))
        _check_tokens(store, [span for span in spans if (span.trace_id, span.span_id) in left])


def _check_tokens(store: StoredTelemetry, spans: Sequence[PlainSpan]) -> None:
    with store.warehouse.snapshot() as snapshot:
        rows = trace_views.found(snapshot, TraceQuery((), NEWEST_FIRST, None, 0), 100)
        alone = [trace_views.one(snapshot, row.trace) for row in rows]
    found = {row.trace.hex: (row.input_tokens, row.output_tokens) for row in rows}
    assert found == {row.trace.hex: (row.input_tokens, row.output_tokens) for row in alone if row is not None}
    by_trace: dict[str, list[PlainSpan]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    assert found == {
        trace: (tokens_of(own, INPUT), tokens_of(own, OUTPUT)) for trace, own in by_trace.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("order", ["downwards", "upwards", "mixed"])
def test_tokens_of_a_deep_trace(store: StoredTelemetry, order: str) -> None:
    """Each span of 3,000 repeats the tokens of the one call at the bottom."""
    depth = 3_000
    spans = [
        PlainSpan(trace=1 << 90, span=level, parent=level - 1 or None, attributes={INPUT: 7})
        for level in range(1, depth + 1)
    ]
    if order != "downwards":
        spans.sort(key=lambda span: -span.span if order == "upwards" else span.span * 7 % 1000)
    store.clear()
    for at in range(0, depth, 500):
        store.add(spans[at : at + 500])
        store.move(250)
    with store.warehouse.snapshot() as snapshot:
        [row] = trace_views.found(snapshot, TraceQuery((), NEWEST_FIRST, None, 0), 100)
    assert (row.input_tokens, row.output_tokens, row.span_count) == (7, None, depth)
