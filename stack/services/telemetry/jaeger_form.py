"""Converts spans to the form of Jaeger's query API, as Jaeger does with spans of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from projections.jaeger import NO_SERVICE
from projections.spans import SpanDetailsRow, SpanRow
from schemas.api.jaeger import JaegerSpan, JaegerTrace, KeyValue, Log, Process, Reference
from stack.services.telemetry.span_answers import events_of, links_of
from telemetry.query.parse_filters import KINDS

SERVICE = "service.name"
_STATUSES = {1: "OK", 2: "ERROR"}
_INT64 = range(-(2**63), 2**63)

_object = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


def trace(
    trace_id: str, rows: Sequence[SpanRow], details: Mapping[int, SpanDetailsRow], left_out: int
) -> JaegerTrace:
    """Returns a trace of these spans. `left_out` is the number of its other spans."""
    processes = _Processes()
    spans = [_span(row, details[row.number], processes) for row in rows]
    warnings = [f"{left_out} spans of this trace are left out"] if left_out > 0 else None
    return JaegerTrace(traceID=trace_id, spans=spans, processes=processes.found, warnings=warnings)


class _Processes:
    """The processes of a trace, by their ids."""

    def __init__(self) -> None:
        self.found: dict[str, Process] = {}
        self._ids: dict[str, str] = {}

    def id_of(self, resource: str | None) -> str:
        text = resource or "{}"
        if text not in self._ids:
            self._ids[text] = f"p{len(self._ids) + 1}"
            attributes = _object.decode(text)
            name = attributes.pop(SERVICE, None)
            service = name if isinstance(name, str) or name is None else _encode(name).decode()
            self.found[self._ids[text]] = Process(service or NO_SERVICE, _tags(attributes))
        return self._ids[text]


def _span(row: SpanRow, more: SpanDetailsRow, processes: _Processes) -> JaegerSpan:
    return JaegerSpan(
        traceID=row.trace_id,
        spanID=row.span_id,
        flags=0,
        operationName=row.name,
        references=list(_references(row, more)),
        startTime=row.start_ns // 1_000,
        duration=max(0, (row.end_ns or row.start_ns) - row.start_ns) // 1_000,
        tags=[*_tags(_object.decode(row.attributes or "{}")), *_fields(row, more)],
        logs=[
            Log(event.time_ns // 1_000, [_tag("event", event.name), *_tags(_object.decode(event.attributes))])
            for event in events_of(more)
        ],
        processID=processes.id_of(more.resource),
    )


def _references(row: SpanRow, more: SpanDetailsRow) -> Iterable[Reference]:
    if row.parent is not None:
        yield Reference("CHILD_OF", row.trace_id, f"{row.parent:016x}")
    for link in links_of(more):
        yield Reference("FOLLOWS_FROM", link.trace_id, link.span_id)


def _fields(row: SpanRow, more: SpanDetailsRow) -> Iterable[KeyValue]:
    """Returns fields that Jaeger shows as tags."""
    if more.scope_name:
        yield _tag("otel.scope.name", more.scope_name)
    if more.scope_version:
        yield _tag("otel.scope.version", more.scope_version)
    if 0 < more.kind < len(KINDS):
        yield _tag("span.kind", KINDS[more.kind])
    if status := _STATUSES.get(row.status):
        yield _tag("otel.status_code", status)
    if status == "ERROR":
        yield _tag("error", True)
    if more.status_message:
        yield _tag("otel.status_description", more.status_message)
    if more.trace_state:
        yield _tag("w3c.tracestate", more.trace_state)


def _tags(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [_tag(key, value) for key, value in attributes.items()]


def _tag(key: str, value: Any) -> KeyValue:
    match value:
        case bool():
            return KeyValue(key, "bool", value)
        case int() if value in _INT64:
            return KeyValue(key, "int64", value)
        case int() | float():
            return KeyValue(key, "float64", float(value))
        case str():
            return KeyValue(key, "string", value)
        case None:
            return KeyValue(key, "string", "")
    return KeyValue(key, "string", _encode(value).decode())
