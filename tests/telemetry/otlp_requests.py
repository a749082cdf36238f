"""OTLP requests made of plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

BASE_NS = 1_790_000_000_000_000_000
"""A time in 2026 whose distance from others in the tests is not a whole number of microseconds."""


class PlainSpan(Struct, kw_only=True):
    """A span as a sender knows it. Ids are numbers; `kind` and `status` are OTLP's."""

    trace: int
    span: int
    parent: int | None = None
    name: str = "work"
    kind: int = 1
    status: int = 0
    message: str = ""
    start_ns: int = BASE_NS
    end_ns: int = BASE_NS + 1_000_000
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    scope: str = ""
    events: list[tuple[int, str, dict[str, Any]]] = []
    links: list[tuple[int, int, dict[str, Any]]] = []

    @property
    def trace_id(self) -> str:
        return f"{self.trace:032x}"

    @property
    def span_id(self) -> str:
        return f"{self.span:016x}"

    @property
    def parent_span_id(self) -> str | None:
        return None if self.parent is None else f"{self.parent:016x}"


def any_value(value: Any) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list() | tuple():
            return AnyValue(array_value=ArrayValue(values=[any_value(one) for one in value]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    raise TypeError(f"{value!r} is no value of OTLP")


def key_values(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def trace_request(spans: Sequence[PlainSpan]) -> bytes:
    """One request, in protobuf, with the spans in their order."""
    request = ExportTraceServiceRequest()
    for plain in spans:
        of_resource = request.resource_spans.add()
        of_resource.resource.attributes.extend(key_values(plain.resource))
        of_scope = of_resource.scope_spans.add()
        of_scope.scope.name = plain.scope
        span = of_scope.spans.add(
            trace_id=plain.trace.to_bytes(16, "big"),
            span_id=plain.span.to_bytes(8, "big"),
            name=plain.name,
            kind=plain.kind,
            start_time_unix_nano=plain.start_ns,
            end_time_unix_nano=plain.end_ns,
            attributes=key_values(plain.attributes),
        )
        if plain.parent is not None:
            span.parent_span_id = plain.parent.to_bytes(8, "big")
        span.status.code = plain.status
        span.status.message = plain.message
        for at_ns, name, attributes in plain.events:
            span.events.add(time_unix_nano=at_ns, name=name, attributes=key_values(attributes))
        for trace, other, attributes in plain.links:
            span.links.add(
                trace_id=trace.to_bytes(16, "big"),
                span_id=other.to_bytes(8, "big"),
                attributes=key_values(attributes),
            )
    return bytes(request.SerializeToString())
