"""OTLP requests as agents send them, made at the cost of copying: 512 spans each, 12 attributes a span, 8 spans a trace.

A request is built once; for each further one its ids, its times and some of its values are written over.
"""

from __future__ import annotations

import http.client
import struct
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

SPANS = 512
SPANS_OF_A_TRACE = 8
SPAN_STEP_NS = 25_000
"""Time between the starts of two spans: 40,000 per second."""
POINTS = 2_000
FIRST_NS = 1_790_000_000_000_000_000

Encoding = Literal["protobuf", "json"]
Numbers = NDArray[np.uint64]
Octets = NDArray[np.uint8]
Places = NDArray[np.signedinteger[Any]]
Form = Callable[[Numbers], Octets]
"""Encodes values: one row of bytes for each, all of the same length."""
Values = dict[str, str | int | float | bool]

_MULTIPLIER = 0x9E37_79B9_7F4A_7C15
_SECOND_MULTIPLIER = 0xBF58_476D_1CE4_E5B9


def mixed(number: int) -> int:
    """Returns a 64-bit number that looks random and is the same in each run; never 0."""
    number = (number + 1) * _MULTIPLIER & (2**64 - 1)
    number ^= number >> 31
    return number * _SECOND_MULTIPLIER & (2**64 - 1) | 1


def trace_id(trace: int) -> str:
    return f"{mixed(trace):016x}{mixed(trace + 2**40):016x}"


def span_id(span: int) -> str:
    return f"{mixed(span + 2**50):016x}"


def user_of(span: int) -> str:
    """Returns an attribute for which about 20 spans in two million have the same value."""
    return f"user-{mixed(span + 2**51) % 100_000:05}"


class SpanRequests:
    """The request `number` has 512 spans from `number * 512` on; 512 spans take 0.3 ms to generate."""

    def __init__(self, encoding: Encoding = "protobuf", services: Sequence[str] = ("bench",)) -> None:
        """The spans of each level of a trace are of the next of the `services`, of the last one from there on."""
        template = _protobuf_template(services) if encoding == "protobuf" else _json_template()
        self._bytes = np.frombuffer(bytearray(template), np.uint8)
        forms = _PROTOBUF_FORMS if encoding == "protobuf" else _JSON_FORMS
        self._fields = [
            (name, form, _places(template, [form(_MARKS[name][index : index + 1]) for index in indexes]))
            for name, form, indexes in ((name, form, _INDEXES[name]) for name, form in forms.items())
        ]

    def request(self, number: int) -> bytes:
        values = _values(np.arange(number * SPANS, (number + 1) * SPANS, dtype=np.uint64))
        for name, form, places in self._fields:
            self._bytes[places] = form(values[name][_INDEXES[name]])
        return self._bytes.tobytes()


def _values(spans: Numbers) -> dict[str, Numbers]:
    """The values that differ between spans."""
    traces = spans // np.uint64(SPANS_OF_A_TRACE)
    of_trace = spans % np.uint64(SPANS_OF_A_TRACE)
    # The first span of a trace is above two, each of these above others.
    above = traces * np.uint64(SPANS_OF_A_TRACE) + (np.maximum(of_trace, 1) - np.uint64(1)) // np.uint64(2)
    starts_ns = np.uint64(FIRST_NS) + spans * np.uint64(SPAN_STEP_NS)
    return {
        "trace": np.stack([_mixed(traces), _mixed(traces + np.uint64(2**40))], axis=1),
        "span": _mixed(spans + np.uint64(2**50)),
        "parent": _mixed(above + np.uint64(2**50)),
        "start": starts_ns,
        "end": starts_ns + np.uint64(1_000_000) + spans % np.uint64(1_000) * np.uint64(1_000),
        "user": _mixed(spans + np.uint64(2**51)) % np.uint64(100_000),
        "turn": traces,
    }


def _mixed(numbers: Numbers) -> Numbers:
    """`mixed` of each."""
    numbers = (numbers + np.uint64(1)) * np.uint64(_MULTIPLIER)
    numbers ^= numbers >> np.uint64(31)
    return numbers * np.uint64(_SECOND_MULTIPLIER) | np.uint64(1)


def _big(numbers: Numbers) -> Octets:
    """Returns the bytes of the numbers in each row, most significant byte first."""
    return numbers.astype(">u8").view(np.uint8).reshape(len(numbers), -1)


def _little(numbers: Numbers) -> Octets:
    return numbers.astype("<u8").view(np.uint8).reshape(len(numbers), -1)


def _hex(numbers: Numbers) -> Octets:
    return _HEX_OF_BYTE[_big(numbers)].reshape(len(numbers), -1)


def _digits(width: int, before: str = "") -> Form:
    """Returns each number with a fixed number of digits, preceded by a text."""
    powers = np.array([10**power for power in reversed(range(width))], dtype=np.uint64)
    text = np.frombuffer(before.encode(), np.uint8)

    def form(numbers: Numbers) -> Octets:
        digits = (numbers[:, None] // powers % np.uint64(10)).astype(np.uint8) + np.uint8(48)
        return np.hstack([np.broadcast_to(text, (len(numbers), len(text))), digits])

    return form


def _places(template: bytes, texts: Sequence[Octets]) -> Places:
    """Returns the positions of all bytes of each of the texts."""
    firsts = np.array([template.index(text.tobytes()) for text in texts])
    return firsts[:, None] + np.arange(texts[0].size)


_HEX_OF_BYTE = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], dtype=np.uint8)
_USER, _TURN = _digits(5, "user-"), _digits(8, "turn-")
_PROTOBUF_FORMS: dict[str, Form] = {
    "trace": _big,
    "span": _big,
    "parent": _big,
    "start": _little,
    "end": _little,
    "user": _USER,
    "turn": _TURN,
}
_JSON_FORMS = _PROTOBUF_FORMS | dict.fromkeys(("trace", "span", "parent"), _hex)
_JSON_FORMS |= dict.fromkeys(("start", "end"), _digits(19))

_ALL = np.arange(SPANS)
_INDEXES = dict.fromkeys(_PROTOBUF_FORMS, _ALL) | {"parent": _ALL[_ALL % SPANS_OF_A_TRACE > 0]}
"""The indexes of the spans that have such a value."""
_FIRST_MARK = 1_234_567_890_123_000_000
_MARK = np.uint64(_FIRST_MARK) + _ALL.astype(np.uint64) * np.uint64(16)
_MARKS: dict[str, Numbers] = {
    "trace": np.stack([_MARK, _MARK], axis=1),
    "span": _MARK + np.uint64(1),
    "parent": _MARK + np.uint64(2),
    "start": _MARK + np.uint64(3),
    "end": _MARK + np.uint64(4),
    "user": _ALL.astype(np.uint64),
    "turn": _ALL.astype(np.uint64),
}
"""The placeholders in a template for each span's own values."""


def _protobuf_template(services: Sequence[str]) -> bytes:
    request = ExportTraceServiceRequest()
    scopes = []
    for service in services:
        of_resource = request.resource_spans.add()
        of_resource.resource.attributes.extend(_attributes(_RESOURCE | {"service.name": service}))
        scopes.append(of_resource.scope_spans.add())
        scopes[-1].scope.name = "bench"
    for index in range(SPANS):
        mark = int(_MARK[index])
        of_trace = index % SPANS_OF_A_TRACE
        span = scopes[min(of_trace.bit_length(), len(scopes) - 1)].spans.add(
            trace_id=struct.pack(">QQ", mark, mark),
            span_id=struct.pack(">Q", mark + 1),
            name=_NAMES[of_trace % 4],
            kind=_KINDS[of_trace % 4],
            start_time_unix_nano=mark + 3,
            end_time_unix_nano=mark + 4,
            attributes=_attributes(_values_of(index)),
        )
        if of_trace:
            span.parent_span_id = struct.pack(">Q", mark + 2)
        if index % 100 == 99:
            span.status.code = 2
    return bytes(request.SerializeToString())


def _json_template() -> bytes:
    """Encodes as senders in JavaScript do: no white space, times as texts, integers as numbers."""
    spans = []
    for index in range(SPANS):
        mark = int(_MARK[index])
        of_trace = index % SPANS_OF_A_TRACE
        span = {
            "traceId": f"{mark:016x}{mark:016x}",
            "spanId": f"{mark + 1:016x}",
            "name": _NAMES[of_trace % 4],
            "kind": _KINDS[of_trace % 4],
            "startTimeUnixNano": str(mark + 3),
            "endTimeUnixNano": str(mark + 4),
            "attributes": _json_attributes(_values_of(index)),
            "droppedAttributesCount": 0,
            "events": [],
            "droppedEventsCount": 0,
            "status": {"code": 2 if index % 100 == 99 else 0},
            "links": [],
            "droppedLinksCount": 0,
        }
        if of_trace:
            span["parentSpanId"] = f"{mark + 2:016x}"
        spans.append(span)
    resource = {"attributes": _json_attributes(_RESOURCE), "droppedAttributesCount": 0}
    of_scope = {"scope": {"name": "bench"}, "spans": spans}
    return msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": [of_scope]}]})


_RESOURCE: Values = {"service.name": "bench", "host.name": "one"}
_NAMES = ("POST /orders", "chat gpt-x", "execute_tool look", "GET /stock")
_KINDS = (2, 3, 1, 3)


def _values_of(index: int) -> Values:
    """The attributes of one span in a template."""
    return {
        "user.id": f"user-{index:05}",
        "turn_id": f"turn-{index:08}",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": f"gpt-{index % 5}",
        "gen_ai.usage.input_tokens": index * 7 % 4096,
        "gen_ai.usage.output_tokens": index * 3 % 512,
        "gen_ai.request.temperature": 0.7,
        "http.response.status_code": 200 if index % 50 else 500,
        "server.address": f"host-{index % 20}.example.com",
        "cached": index % 3 == 0,
        "deployment.environment": "production",
    }


def _json_attributes(values: Values) -> list[dict[str, object]]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue", bool: "boolValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


STREAMS = 100
STREAMS_OF_A_METRIC = 10
POINT_STEP_S = 10


def metric_name(metric: int) -> str:
    return f"bench.counter.{metric}"


def point_requests(points: int) -> list[bytes]:
    """Counters of 10 names with 10 sets of labels each, one point of every 10 s, `points` all in all."""
    requests = []
    for first in range(0, points // STREAMS, POINTS // STREAMS):
        request = ExportMetricsServiceRequest()
        of_resource = request.resource_metrics.add()
        of_resource.resource.attributes.extend(_attributes({"service.name": "bench"}))
        of_scope = of_resource.scope_metrics.add()
        for metric in range(STREAMS // STREAMS_OF_A_METRIC):
            made = of_scope.metrics.add(name=metric_name(metric), unit="{request}")
            made.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            made.sum.is_monotonic = True
            for step in range(first, first + POINTS // STREAMS):
                for stream in range(STREAMS_OF_A_METRIC):
                    made.sum.data_points.add(
                        attributes=_attributes({"model": f"gpt-{stream}"}),
                        start_time_unix_nano=FIRST_NS,
                        time_unix_nano=FIRST_NS + (step + 1) * POINT_STEP_S * 10**9,
                        as_int=(step + 1) * (stream + 1),
                    )
        requests.append(bytes(request.SerializeToString()))
    return requests


def _attributes(values: Values) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any(value)) for key, value in values.items()]


def _any(value: str | int | float | bool) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
    return AnyValue(string_value=value)


class Sender:
    """One kept connection that posts OTLP. Raises RuntimeError unless everything was taken."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, signal: str, request: bytes) -> None:
        headers = {"content-type": "application/x-protobuf"}
        self._connection.request("POST", f"/v1/{signal}", request, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200 or content:
            raise RuntimeError(f"{signal}: {answer.status} {content[:300]!r}")

    def close(self) -> None:
        self._connection.close()


def all_sent(port: int, signal: str, requests: Sequence[bytes]) -> None:
    sender = Sender(port)
    for request in requests:
        sender.send(signal, request)
    sender.close()
