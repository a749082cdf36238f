"""Own spans in protobuf: byte for byte other than the exporters' encoder writes them, and the same spans."""

from __future__ import annotations

import math
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as by_the_library
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from telemetry.own import encode
from telemetry.own.encode import encode_spans


class Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Tracer:
    def __init__(self) -> None:
        self._kept = Kept()
        provider = TracerProvider(resource=Resource({"service.name": "s", "n": 1}), shutdown_on_exit=False)
        provider.add_span_processor(self._kept)
        self.start = provider.get_tracer("scope", "1.2").start_span

    def span(self, attributes: dict[str, Any] | None = None, **more: Any) -> ReadableSpan:
        self.start(more.pop("name", "a span"), attributes=attributes, **more).end()
        return self._kept.spans[-1]


@pytest.fixture
def tracer() -> Tracer:
    return Tracer()


def check(*spans: ReadableSpan) -> None:
    ours = ExportTraceServiceRequest.FromString(encode_spans(spans))
    theirs = ExportTraceServiceRequest.FromString(by_the_library(spans).SerializeToString())
    assert str(ours) == str(theirs)


@pytest.mark.parametrize(
    "value",
    [
        "", "x", "é" * 63, "x" * 127, "x" * 128, "x" * 16384, "\0", True, False, 0, 1, -1, 127, 128, 2**63 - 1, -(2**63),
        0.0, -1.5, 1e300, math.inf, -math.inf, math.nan, (), ("a", "b"), (1, 2, 300), (1.5,), (True, False), ("x" * 200,),
    ],
)  # fmt: skip
def test_values(tracer: Tracer, value: Any) -> None:
    check(tracer.span({"key": value, "k" * 200: value}))


@pytest.mark.parametrize("kind", SpanKind)
def test_kinds(tracer: Tracer, kind: SpanKind) -> None:
    check(tracer.span(kind=kind))


@pytest.mark.parametrize("status", StatusCode)
def test_statuses(tracer: Tracer, status: StatusCode) -> None:
    span = tracer.start("a span")
    span.set_status(status)
    span.end()
    check(span)  # type: ignore[arg-type]


def test_names_times_and_many_spans(tracer: Tracer) -> None:
    spans = [tracer.span({"n": n}, name=name) for n, name in enumerate(("", "é", "x" * 300, "a" * 127))]
    check(*spans, tracer.span(start_time=1), tracer.span(start_time=2**62))
    check(spans[0])
    assert encode_spans([]) == b""


@pytest.mark.parametrize("remote", [False, True])
def test_parents_and_states(tracer: Tracer, remote: bool) -> None:
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    state = TraceState([("vendor", "1"), ("other", "a=b")])
    above = SpanContext(2**128 - 1, 2**64 - 1, remote, TraceFlags(1), state)
    check(tracer.span(context=set_span_in_context(NonRecordingSpan(above))))
    header = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"}
    check(tracer.span(context=TraceContextTextMapPropagator().extract(header)))


def test_what_is_not_made_here_goes_through_the_librarys_encoder(tracer: Tracer) -> None:
    eventful = tracer.start("eventful")
    eventful.add_event("event", {"a": 1})
    eventful.end()
    described = tracer.start("described")
    described.set_status(StatusCode.ERROR, "why")
    described.end()
    linked = tracer.span(links=[Link(SpanContext(1, 2, False), {"b": 2})])
    odd = tracer.span({"bytes": b"\xff", "map": {"a": [1, "x"]}})
    for span in (eventful, described, linked, odd):
        check(span)  # type: ignore[arg-type]
    usual = tracer.span({"a": 1})
    request = ExportTraceServiceRequest.FromString(encode_spans([usual, linked, usual, odd]))
    assert [len(one.scope_spans[0].spans) for one in request.resource_spans] == [2, 2]


def test_keys_that_differ_without_end_are_not_kept_without_end(tracer: Tracer) -> None:
    for number in range(2 * encode.MAX_KEYS):
        check_one = tracer.span({f"key {number}": number})
        encode_spans([check_one])
    check(check_one)
    assert len(encode._KEYS) <= encode.MAX_KEYS
