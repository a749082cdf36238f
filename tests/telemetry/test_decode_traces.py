"""Spans of requests as rows: the same from protobuf and JSON, every value as it was sent, the unfit told apart."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from projections.telemetry_columns import NO_COUNT
from telemetry.wire import row_limit
from telemetry.wire.decoded import Rejections
from telemetry.wire.refusals import Malformed, TooLarge
from tests.telemetry import otlp_strategies
from tests.telemetry.decoded_rows import attributes, in_both_forms, received, rows
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan, key_values, trace_request

TRACE, SPAN = bytes(range(16)), bytes(range(8))


def span(**more: Any) -> Span:
    fields = {"trace_id": TRACE, "span_id": SPAN, "start_time_unix_nano": BASE_NS, "name": "work"}
    return Span(**fields | more)


def request(*spans: Span) -> TracesData:
    made = TracesData()
    made.resource_spans.add().scope_spans.add().spans.extend(spans)
    return made


def only_row(made: Span) -> dict[str, Any]:
    [row] = rows(in_both_forms("traces", request(made)), "spans")
    return row


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(otlp_strategies.trace_requests)
def test_a_request_is_the_same_in_protobuf_and_in_json(made: TracesData) -> None:
    found = in_both_forms("traces", made)
    sent = [one for r in made.resource_spans for s in r.scope_spans for one in s.spans]
    assert found.accepted + found.rejected == len(sent)
    assert len(rows(found, "spans")) == found.accepted
    assert bool(found.reason) == bool(found.rejected)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        ("", ""),
        ("ä\x00\n\x1e\u2028😀", "ä\x00\n\x1e\u2028😀"),
        (True, True),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (1.0, 1.0),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (b"\x00\xff", "AP8="),
        ([], []),
        ([1, 1.5, None, "x", [True, []]], [1, 1.5, None, "x", [True, []]]),
        ({}, {}),
        ({"a": {"b": [b"", math.inf]}, "": None}, {"a": {"b": ["", "Infinity"]}, "": None}),
        ("long " * 10_000, "long " * 10_000),
    ],
)
def test_values_of_every_type_are_kept(value: Any, shown: Any) -> None:
    row = only_row(span(attributes=key_values({"k": value})))
    kept = attributes(row)["k"]
    assert kept == shown
    assert type(kept) is type(shown)
    assert math.copysign(1, kept) == math.copysign(1, shown) if isinstance(shown, float) else True


def test_a_thousand_attributes() -> None:
    values = {f"key {number}": number for number in range(1000)}
    assert attributes(only_row(span(attributes=key_values(values)))) == values


def test_of_keys_that_are_there_twice_the_last_counts() -> None:
    doubled = [*key_values({"a": 1, "b": 2}), *key_values({"a": 3})]
    assert only_row(span(attributes=doubled))["fragments"] == '"a":3\x1e"b":2'
    nested = AnyValue()
    nested.kvlist_value.values.extend(doubled)
    assert only_row(span(attributes=[KeyValue(key="n", value=nested)]))["fragments"] == '"n":{"a":3,"b":2}'


def test_all_fields_of_a_span() -> None:
    made = span(
        parent_span_id=b"\xff" * 8,
        trace_state="a=b",
        flags=0x301,
        kind=Span.SPAN_KIND_CLIENT,
        end_time_unix_nano=BASE_NS + 5,
        dropped_attributes_count=1,
        dropped_events_count=2,
        dropped_links_count=2**32 - 1,
    )
    made.status.code, made.status.message = 2, "no"
    made.events.add(time_unix_nano=7, name="e", attributes=key_values({"x": [1]}), dropped_attributes_count=3)
    made.links.add(trace_id=TRACE, span_id=SPAN, trace_state="c=d", flags=1)
    row = only_row(made)
    assert row["trace_id"] == TRACE.hex()
    assert (row["span_id"], row["parent_span_id"]) == (int.from_bytes(SPAN, "big"), 2**64 - 1)
    assert (row["trace_state"], row["flags"], row["kind"]) == ("a=b", 0x301, 3)
    assert (row["start_ns"], row["end_ns"]) == (BASE_NS, BASE_NS + 5)
    assert (row["status"], row["status_message"]) == (2, "no")
    assert (row["dropped_attributes"], row["dropped_events"], row["dropped_links"]) == (1, 2, 2**32 - 1)
    assert json.loads(row["events"]) == [
        {"time_ns": 7, "name": "e", "attributes": {"x": [1]}, "dropped_attributes": 3}
    ]
    assert json.loads(row["links"]) == [
        {
            "trace_id": TRACE.hex(),
            "span_id": SPAN.hex(),
            "trace_state": "c=d",
            "flags": 1,
            "attributes": {},
        }
    ]


def test_what_is_not_there() -> None:
    row = only_row(span(name=""))
    assert (row["name"], row["fragments"], row["events"], row["links"]) == ("", "", "", "")
    assert (row["parent_span_id"], row["end_ns"], row["status"]) == (0, 0, 0)
    assert (row["input_tokens"], row["agent_id"]) == (NO_COUNT, "")


def test_resources_and_scopes_are_there_once_and_named_by_their_rows() -> None:
    plain = [
        PlainSpan(trace=1, span=number, resource={"service.name": f"s{number % 2}"}, scope="lib")
        for number in range(1, 7)
    ]
    found = received("traces", trace_request(plain))
    resources = {row["resource_id"]: json.loads(row["attributes"]) for row in rows(found, "resources")}
    assert sorted(one["service.name"] for one in resources.values()) == ["s0", "s1"]
    [scope] = rows(found, "scopes")
    assert scope["name"] == "lib"
    for row in rows(found, "spans"):
        assert resources[row["resource_id"]]["service.name"] == f"s{row['span_id'] % 2}"
        assert row["scope_id"] == scope["scope_id"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "a trace id is not 16 bytes with any but zeros"),
        ({"trace_id": bytes(16)}, "a trace id is not 16 bytes with any but zeros"),
        ({"trace_id": b"x" * 15}, "a trace id is not 16 bytes with any but zeros"),
        ({"span_id": bytes(8)}, "a span id is not 8 bytes with any but zeros"),
        ({"span_id": b"x" * 16}, "a span id is not 8 bytes with any but zeros"),
        ({"parent_span_id": b"x"}, "a parent span id is not 8 bytes"),
        ({"start_time_unix_nano": 2**63}, "a time is not between 1970 and 2262"),
        ({"end_time_unix_nano": 2**64 - 1}, "a time is not between 1970 and 2262"),
    ],
)
def test_an_unfit_span_is_left_out_and_the_others_are_kept(fields: dict[str, Any], reason: str) -> None:
    found = in_both_forms("traces", request(span(name="a"), span(**fields), span(name="b"), span(**fields)))
    assert (found.accepted, found.rejected, found.reason) == (2, 2, f"2 because {reason}")
    assert [row["name"] for row in rows(found, "spans")] == ["a", "b"]


def test_a_request_of_unfit_spans_leaves_no_rows() -> None:
    found = in_both_forms("traces", request(span(trace_id=b"")))
    assert (found.accepted, found.rejected, found.batches) == (0, 1, {})


def test_reasons_are_counted_but_not_without_end() -> None:
    problems = [
        {"trace_id": b"x"},
        {"span_id": b"x"},
        {"parent_span_id": b"x"},
        {"end_time_unix_nano": 2**63},
    ]
    found = received("traces", request(*[span(**one) for one in problems * 3]).SerializeToString())
    assert found.rejected == 12
    assert found.reason.count("3 because ") == Rejections.MAX_REASONS


@pytest.mark.parametrize(
    ("attributes_of_span", "column", "value"),
    [
        ({"gen_ai.request.model": "m"}, "request_model", "m"),
        ({"llm.model_name": "old", "gen_ai.request.model": "new"}, "request_model", "new"),
        ({"gen_ai.request.model": 5, "llm.model_name": "old"}, "request_model", "old"),
        ({"gen_ai.request.model": 'a "quoted"\nü'}, "request_model", 'a "quoted"\nü'),
        ({"gen_ai.request.model": ""}, "request_model", ""),
        ({"gen_ai.request.model": ["m"]}, "request_model", ""),
        ({"openinference.span.kind": "LLM"}, "operation_name", "chat"),
        ({"openinference.span.kind": "CHAIN"}, "operation_name", "CHAIN"),
        ({"gen_ai.usage.input_tokens": 7}, "input_tokens", 7),
    ],
)
def test_attributes_that_are_columns(attributes_of_span: dict[str, Any], column: str, value: Any) -> None:
    assert only_row(span(attributes=key_values(attributes_of_span)))[column] == value


def test_many_spans_of_one_scope() -> None:
    """More than are looked at together."""
    made = request(*[span(span_id=number.to_bytes(8, "big")) for number in range(1, 10_001)])
    found = rows(received("traces", made.SerializeToString()), "spans")
    assert [row["span_id"] for row in found] == list(range(1, 10_001))


def test_more_rows_than_the_store_numbers_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_limit, "MAX_ROWS", 10)
    many_events = span()
    for _ in range(10):
        many_events.events.add()
    for made in (request(*[span()] * 11), request(many_events)):
        with pytest.raises(TooLarge, match="more than 10 rows"):
            in_both_forms("traces", made)
    # The messages that they are within count, too, where a request is so large that it is counted on the wire.
    assert received("traces", request(*[span()] * 8).SerializeToString()).accepted == 8


JSON_SPAN = {"traceId": TRACE.hex(), "spanId": SPAN.hex(), "startTimeUnixNano": str(BASE_NS), "name": "work"}


def from_json(**more: Any) -> Any:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [JSON_SPAN | more]}]}]}
    return received("traces", json.dumps(body).encode(), "json")


@pytest.mark.parametrize(
    "more",
    [
        {"startTimeUnixNano": BASE_NS},
        {"startTimeUnixNano": float(BASE_NS)},
        {"traceId": TRACE.hex().upper(), "spanId": SPAN.hex().upper()},
        {"kind": None, "attributes": None, "events": None, "status": None, "parentSpanId": None},
        {"kind": "SPAN_KIND_UNSPECIFIED", "status": {"code": "STATUS_CODE_UNSET"}, "flags": None},
        {"kind": 99, "status": {"code": "of a later version"}},
        {"unknown": {"deep": [[{}]]}, "parentSpanId": ""},
    ],
)
def test_json_is_read_leniently_where_its_meaning_is_clear(more: dict[str, Any]) -> None:
    assert from_json(**more) == from_json()


@pytest.mark.parametrize(
    "more",
    [
        {"traceId": "Zm9vYmFyYmF6cXV4Zm9vYg=="},
        {"traceId": "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"},
        {"spanId": "xyz"},
        {"spanId": "é" * 16},
        {"startTimeUnixNano": "-1"},
        {"startTimeUnixNano": -1},
        {"startTimeUnixNano": "18446744073709551615"},
    ],
)
def test_json_with_ids_or_times_that_are_none(more: dict[str, Any]) -> None:
    found = from_json(**more)
    assert (found.accepted, found.rejected) == (0, 1)


def value(**held: Any) -> dict[str, Any]:
    return {"attributes": [{"key": "k", "value": held}]}


@pytest.mark.parametrize(
    "more",
    [
        {"startTimeUnixNano": "1e3"},
        {"startTimeUnixNano": "1_000"},
        {"startTimeUnixNano": " 1"},
        {"startTimeUnixNano": "١"},
        {"startTimeUnixNano": 1.5},
        {"startTimeUnixNano": 2**64},
        {"startTimeUnixNano": "9" * 5000},
        {"startTimeUnixNano": True},
        {"name": 5},
        {"attributes": {"k": "v"}},
        {"flags": "x"},
        value(intValue="99999999999999999999"),
        value(intValue="9223372036854775808"),
        value(intValue="-9223372036854775809"),
        value(intValue=True),
        value(intValue="x"),
        value(intValue=1.5),
        value(boolValue=1),
        value(boolValue="true"),
        value(stringValue=1),
        value(doubleValue="1e400"),
        value(doubleValue="inf"),
        value(doubleValue="0x10"),
        value(doubleValue=""),
        value(bytesValue="not base64!"),
        value(bytesValue="é"),
        value(arrayValue=[1]),
        value(kvlistValue={"values": {"a": 1}}),
    ],
)
def test_json_that_says_nothing_clear_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        from_json(**more)
    assert 10 < len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        ({"intValue": 5}, "5"),
        ({"intValue": 1e21}, "1e21"),
        ({"intValue": 2**63}, "9.223372036854776e18"),
        ({"intValue": "0005"}, "5"),
        ({"intValue": 5.0}, "5"),
        ({"intValue": "-9223372036854775808"}, "-9223372036854775808"),
        ({"doubleValue": "1.5"}, "1.5"),
        ({"doubleValue": 3}, "3.0"),
        ({"doubleValue": "NaN"}, '"NaN"'),
        ({"doubleValue": "-Infinity"}, '"-Infinity"'),
        ({"bytesValue": "_-8"}, '"/+8="'),
        ({"stringValue": None}, "null"),
        ({"arrayValue": {}}, "[]"),
        ({"kvlistValue": {"values": None}}, "{}"),
        ({"ofALaterVersion": 1}, "null"),
        ({}, "null"),
    ],
)
def test_values_as_json_may_write_them(held: dict[str, Any], shown: str) -> None:
    [row] = rows(from_json(**value(**held)), "spans")
    assert row["fragments"] == f'"k":{shown}'


def test_counts_beyond_32_bits_are_the_largest_there_is() -> None:
    [row] = rows(from_json(droppedEventsCount=2**40, droppedLinksCount="-5", flags=2**33), "spans")
    assert (row["dropped_events"], row["dropped_links"], row["flags"]) == (2**32 - 1, 0, 2**32 - 1)
    body = {"resource": {"droppedAttributesCount": 2**40}, "scopeSpans": [{"spans": [JSON_SPAN]}]}
    found = received("traces", json.dumps({"resourceSpans": [body]}).encode(), "json")
    assert rows(found, "resources")[0]["dropped"] == 2**32 - 1


def test_halves_of_characters_become_replacement_characters() -> None:
    name = r"\ud800 \\ud800 \ud83d\ude00 \\\udc00\ud800"
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % json.dumps(JSON_SPAN).encode()
    found = received("traces", body.replace(b"work", name.encode()), "json")
    assert rows(found, "spans")[0]["name"] == "\ufffd \\ud800 😀 \\\ufffd\ufffd"


def nested(depth: int) -> AnyValue:
    made = AnyValue(string_value="in the middle")
    for _ in range(depth):
        outer = AnyValue()
        outer.array_value.values.append(made)
        made = outer
    return made


def test_nesting_is_kept_to_a_depth_and_refused_beyond() -> None:
    row = only_row(span(attributes=[KeyValue(key="k", value=nested(40))]))
    assert row["fragments"] == f'"k":{"[" * 40}"in the middle"{"]" * 40}'
    deep = b'{"arrayValue":{"values":[' * 49 + b"]}}" * 49
    far = b'{"arrayValue":{"values":[' * 100_000
    for held in (deep, far):
        body = json.dumps(JSON_SPAN | {"attributes": [{"key": "k", "value": "here"}]}).encode()
        made = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % body.replace(b'"here"', held)
        with pytest.raises(Malformed):
            received("traces", made, "json")
    inner = b""
    for _ in range(200):
        inner = _field(0x2A, _field(0x0A, inner))
    attribute = _field(0x4A, _field(0x0A, b"k") + _field(0x12, inner))
    made = _field(0x0A, _field(0x12, _field(0x12, span().SerializeToString() + attribute)))
    with pytest.raises(Malformed):
        received("traces", made)


def _field(tag: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([tag]) + length + bytes([size]) + content
