"""OTLP requests as agents send them, made at the cost of copying: 512 spans each, 12 attributes a span, 8 spans a trace.

A request is built once; for each further one its ids, its times and some of its values are written over.
"""

from __future__ import annotations

import http.client
import struct
from collections.abc import Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

SPANS = 512
SPANS_OF_A_TRACE = 8
SPAN_STEP_NS = 25_000
"""Between the starts of two spans: 40,000 a second."""
POINTS = 2_000
FIRST_NS = 1_790_000_000_000_000_000

_MARK = 0x5A5A_0000_0000_0000
_MULTIPLIER = 0x9E37_79B9_7F4A_7C15


def mixed(number: int) -> int:
    """A number of 64 bits that looks like chance and is the same in each run; never 0."""
    number = (number + 1) * _MULTIPLIER & (2**64 - 1)
    number ^= number >> 31
    return number * 0xBF58_476D_1CE4_E5B9 & (2**64 - 1) | 1


def trace_id(trace: int) -> str:
    return f"{mixed(trace):016x}{mixed(trace + 2**40):016x}"


def span_id(span: int) -> str:
    return f"{mixed(span + 2**50):016x}"


def user_of(span: int) -> str:
    """An attribute of which about 20 spans in two million have the same value."""
    return f"user-{mixed(span + 2**51) % 100_000:05}"


class SpanRequests:
    """The request `number` has the spans `number * 512` and those behind it."""

    def __init__(self) -> None:
        self._bytes = bytearray(_template())
        self._places = [self._place(number) for number in range(SPANS)]

    def request(self, number: int) -> bytes:
        made = self._bytes
        for index, (trace_at, span_at, parent_at, start_at, end_at, user_at, turn_at) in enumerate(
            self._places
        ):
            span = number * SPANS + index
            trace, of_trace = divmod(span, SPANS_OF_A_TRACE)
            start_ns = FIRST_NS + span * SPAN_STEP_NS
            made[trace_at : trace_at + 16] = bytes.fromhex(trace_id(trace))
            made[span_at : span_at + 8] = bytes.fromhex(span_id(span))
            if of_trace:
                # The first span is above two, each of these above others.
                parent = trace * SPANS_OF_A_TRACE + (of_trace - 1) // 2
                made[parent_at : parent_at + 8] = bytes.fromhex(span_id(parent))
            made[start_at : start_at + 8] = struct.pack("<Q", start_ns)
            made[end_at : end_at + 8] = struct.pack("<Q", start_ns + 1_000_000 + span % 1_000 * 1_000)
            made[user_at : user_at + 10] = user_of(span).encode()
            made[turn_at : turn_at + 13] = f"turn-{trace:08}".encode()
        return bytes(made)

    def _place(self, index: int) -> tuple[int, ...]:
        at = self._bytes.find
        mark = _MARK + index * 16
        trace_at = at(struct.pack(">QQ", mark, mark))
        span_at = at(struct.pack(">Q", mark + 1))
        parent_at = at(struct.pack(">Q", mark + 2))
        start_at, end_at = at(struct.pack("<Q", mark + 3)), at(struct.pack("<Q", mark + 4))
        user_at, turn_at = at(f"user-{index:05}".encode()), at(f"turn-{index:08}".encode())
        return trace_at, span_at, parent_at, start_at, end_at, user_at, turn_at


def _template() -> bytes:
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    of_resource.resource.attributes.extend(_attributes({"service.name": "bench", "host.name": "one"}))
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name = "bench"
    for index in range(SPANS):
        mark = _MARK + index * 16
        of_trace = index % SPANS_OF_A_TRACE
        span = of_scope.spans.add(
            trace_id=struct.pack(">QQ", mark, mark),
            span_id=struct.pack(">Q", mark + 1),
            name=("POST /orders", "chat gpt-x", "execute_tool look", "GET /stock")[of_trace % 4],
            kind=(2, 3, 1, 3)[of_trace % 4],
            start_time_unix_nano=mark + 3,
            end_time_unix_nano=mark + 4,
            attributes=_attributes(
                {
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
            ),
        )
        if of_trace:
            span.parent_span_id = struct.pack(">Q", mark + 2)
        if index % 100 == 99:
            span.status.code = 2
    return bytes(request.SerializeToString())


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


def _attributes(values: dict[str, str | int | float | bool]) -> list[KeyValue]:
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
