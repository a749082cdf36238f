"""Sends a trace, metrics and a log record with opentelemetry-sdk and its exporters, of whatever version runs this.

    python sdk.py NAME http|grpc none|gzip http://127.0.0.1:8321 127.0.0.1:4317

Prints as JSON what it sent, as the SDK had it. It is not part of the package `tests`: an older SDK has an environment
of its own.
"""

from __future__ import annotations

import base64
import importlib
import json
import math
import random
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry._logs.severity import SeverityNumber
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.version import __version__

name, protocol, compression, http_url, grpc_address = sys.argv[1:]
TAKES_ANY_VALUE = int(__version__.split(".")[1]) >= 45
OF_EVERY_TYPE: dict[str, Any] = {
    "text": "words",
    "empty": "",
    "unicode \U0001f680 key": "\u202e漢\U0001f680",
    "a'; DROP TABLE spans; --": "'; DROP TABLE spans; --",
    "long": "x" * 10_000,
    "integer": 2**63 - 1,
    "negative": -(2**63),
    "zero": 0,
    "float": 0.1,
    "whole float": 1.0,
    "least float": 5e-324,
    "not a number": math.nan,
    "infinity": math.inf,
    "yes": True,
    "no": False,
    "texts": ["a", ""],
    "integers": [1, -2],
    "floats": [0.5, 1.0],
    "booleans": [True, False],
    "no items": [],
}
NESTED: dict[str, Any] = {
    "nothing": None,
    "bytes": b"\x00\xff bytes",
    "object": {"nested": {"deeper": [1, {"x": None}]}, "a.b": 2.5},
    "mixed": ["a", 1, 2.5, True, None, b"x", [], {}],
}
if TAKES_ANY_VALUE:
    OF_EVERY_TYPE |= NESTED
RESOURCE = Resource(
    {"service.name": name, "host.cpus": 4, "host.load": 0.5, "tags": ["a", "b"], "is.real": True}
)
REMOTE = SpanContext(
    random.getrandbits(128) | 1, 2**60 + 1, True, TraceFlags(1), TraceState([("vendor", "1")])
)
OTHER = SpanContext(2**127 + 5, 2**62 + 5, True, TraceFlags(0), TraceState([("other", "2")]))


def exporter(kind: str, signal: str) -> Any:
    """`kind` is the class without `OTLP` and `Exporter`."""
    module = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{protocol}.{kind}")
    made = getattr(
        module, {"traces": "OTLPSpanExporter", "metrics": "OTLPMetricExporter"}.get(signal, "OTLPLogExporter")
    )
    if protocol == "grpc":
        import grpc

        packed = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        return made(endpoint=grpc_address, insecure=True, compression=packed)
    http = importlib.import_module("opentelemetry.exporter.otlp.proto.http")
    packed = http.Compression.Gzip if compression == "gzip" else http.Compression.NoCompression
    return made(endpoint=f"{http_url}/v1/{signal}", compression=packed)


class Ended(SpanProcessor):
    """Returns the spans as they were when they ended."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []

    def on_end(self, span: ReadableSpan) -> None:
        context, scope = span.context, span.instrumentation_scope
        assert context is not None and scope is not None
        self.spans.append(
            {
                "trace_id": f"{context.trace_id:032x}",
                "span_id": f"{context.span_id:016x}",
                "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
                "trace_state": context.trace_state.to_header(),
                "name": span.name,
                "kind": span.kind.name.lower(),
                "status": "error" if span.status.status_code is StatusCode.ERROR else "ok",
                "message": span.status.description or "",
                "start_ns": span.start_time,
                "end_ns": span.end_time,
                "attributes": plain(span.attributes),
                "events": [
                    {"time_ns": event.timestamp, "name": event.name, "attributes": plain(event.attributes)}
                    for event in span.events
                ],
                # Of their trace state the exporters say nothing.
                "links": [
                    {
                        "trace_id": f"{link.context.trace_id:032x}",
                        "span_id": f"{link.context.span_id:016x}",
                        "attributes": plain(link.attributes),
                    }
                    for link in span.links
                ],
                "resource": plain(span.resource.attributes),
                "scope": {
                    "name": scope.name,
                    "version": scope.version,
                    "attributes": plain(getattr(scope, "attributes", {})),
                },
            }
        )


def plain(value: Any) -> Any:
    """As JSON has it; bytes as base64, NaN and the infinities as Python writes them."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(one) for one in value]
    return value


def traces() -> list[dict[str, Any]]:
    """A span of every kind, above each other, below one of another process."""
    ended = Ended()
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(ended)
    provider.add_span_processor(BatchSpanProcessor(exporter("trace_exporter", "traces")))
    scope: dict[str, Any] = {"attributes": {"of the scope": [1, 2]}} if TAKES_ANY_VALUE else {}
    tracer = provider.get_tracer("producer", "1.2.3", **scope)
    context = trace.set_span_in_context(trace.NonRecordingSpan(REMOTE))
    spans = []
    for kind in SpanKind:
        span = tracer.start_span(
            f"span {kind.name}", context, kind, links=[Link(OTHER, OF_EVERY_TYPE), Link(REMOTE)]
        )
        span.set_attributes(OF_EVERY_TYPE)
        span.add_event("an event", OF_EVERY_TYPE, timestamp=time.time_ns() + 7)
        context = trace.set_span_in_context(span)
        spans.append(span)
    spans[1].set_status(Status(StatusCode.OK))
    spans[2].set_status(Status(StatusCode.ERROR, "It went wrong."))
    spans[2].record_exception(ValueError("that is why"))
    for span in reversed(spans):
        span.end()
    provider.shutdown()
    return ended.spans


def metrics() -> None:
    reader = PeriodicExportingMetricReader(exporter("metric_exporter", "metrics"), 3_600_000)
    provider = MeterProvider([reader], RESOURCE)
    meter = provider.get_meter("producer", "1.2.3")

    def load(_: CallbackOptions) -> list[Observation]:
        return [Observation(2.5, {"core": 1})]

    requests = meter.create_counter(f"{name}.requests", "{request}")
    durations = meter.create_histogram(f"{name}.duration", "s")
    meter.create_observable_gauge(f"{name}.load", [load])
    for model, count in (("a", 3), ("b", 4), ("a", 2)):
        requests.add(count, {"model": model, "cached": False})
    for duration_s in (0.5, 1.0, 7000.0):
        durations.record(duration_s, {"model": "a"})
    provider.shutdown()


def log(sent: dict[str, Any]) -> dict[str, Any]:
    """A record that belongs to a span that was sent."""
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter("_log_exporter", "logs")))
    record: dict[str, Any] = {
        "timestamp": time.time_ns() - 5,
        "observed_timestamp": time.time_ns(),
        "severity_text": "WARN",
        "severity_number": SeverityNumber.WARN,
        "body": {"what": ["happened", 1, 2.5]} if TAKES_ANY_VALUE else "what happened",
        "attributes": OF_EVERY_TYPE,
    }
    if TAKES_ANY_VALUE:
        from opentelemetry._logs import LogRecord

        ids = int(sent["trace_id"], 16), int(sent["span_id"], 16)
        span = trace.NonRecordingSpan(SpanContext(*ids, False, TraceFlags(1)))
        made = LogRecord(**record, context=trace.set_span_in_context(span))
    else:
        from opentelemetry.sdk._logs import LogRecord as OlderLogRecord

        made = OlderLogRecord(
            **record,
            trace_id=int(sent["trace_id"], 16),
            span_id=int(sent["span_id"], 16),
            trace_flags=TraceFlags(1),
            resource=RESOURCE,
        )
    provider.get_logger("producer", "1.2.3").emit(made)
    provider.shutdown()
    return {
        "time_ns": record["timestamp"],
        # Older exporters leave it out.
        "observed_ns": record["observed_timestamp"] if TAKES_ANY_VALUE else None,
        "severity": record["severity_number"].value,
        "severity_text": record["severity_text"],
        "body": plain(record["body"]),
        "attributes": plain(record["attributes"]),
        "trace_id": sent["trace_id"],
        "span_id": sent["span_id"],
    }


found = {"version": __version__, "spans": traces()}
metrics()
found["log"] = log(found["spans"][0])
print(json.dumps(found))
