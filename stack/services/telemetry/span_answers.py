"""Converts rows of traces and spans to the API's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from projections.log_records import LogRow
from projections.spans import SpanDetailsRow, SpanRow
from projections.traces import TraceRow
from projections.warehouse.reader import rfc3339
from schemas.api.telemetry import (
    LogRecord,
    Span,
    SpanDetails,
    SpanEvent,
    SpanLink,
    SpanScope,
    SpanStatus,
    SpanWithStatus,
    Trace,
    TraceDetails,
)
from telemetry.query.parse_filters import KINDS

_ERROR = 2
_NONE = Raw(b"{}")

_raw_object = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class EventText(Struct):
    time_ns: int
    name: str = ""
    attributes: Raw = _NONE


class LinkText(Struct):
    trace_id: str
    span_id: str
    trace_state: str = ""
    attributes: Raw = _NONE


_events = msgspec.json.Decoder(list[EventText])
_links = msgspec.json.Decoder(list[LinkText])


def trace(row: TraceRow) -> Trace:
    return Trace(
        trace_id=row.trace.hex,
        root_span_id=f"{row.root_span:016x}",
        start_time=moment(row.start_ns),
        end_time=_end(row.end_ns),
    )


def trace_details(row: TraceRow, services: Mapping[int, str]) -> TraceDetails:
    return TraceDetails(
        trace_id=row.trace.hex,
        root_span_id=f"{row.root_span:016x}",
        start_time=moment(row.start_ns),
        end_time=_end(row.end_ns),
        name=row.name,
        service=services.get(row.resource_id, ""),
        status="error" if row.error_count else "ok",
        span_count=row.span_count,
        error_count=row.error_count,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        models=row.models,
    )


def span(row: SpanRow, wanted: Sequence[str] = ()) -> Span:
    """Returns a span with the `wanted` attributes; with all if none are given."""
    return Span(**_fields(row), attributes=attributes_of(row, wanted))


def span_with_status(row: SpanRow, wanted: Sequence[str] = ()) -> SpanWithStatus:
    return SpanWithStatus(**_fields(row), attributes=attributes_of(row, wanted), status=_status(row))


def span_details(row: SpanRow, more: SpanDetailsRow) -> SpanDetails:
    scope = SpanScope(more.scope_name or "", more.scope_version or "", _raw(more.scope_attributes))
    return SpanDetails(
        **_fields(row),
        kind=KINDS[more.kind] if more.kind < len(KINDS) else KINDS[0],
        status=_status(row),
        status_message=more.status_message or "",
        attributes=attributes_of(row),
        events=[
            SpanEvent(time=moment(event.time_ns), name=event.name, attributes=event.attributes)
            for event in events_of(more)
        ],
        links=[
            SpanLink(
                trace_id=link.trace_id,
                span_id=link.span_id,
                trace_state=link.trace_state,
                attributes=link.attributes,
            )
            for link in links_of(more)
        ],
        resource=_raw(more.resource),
        scope=scope if scope != SpanScope() else None,
        operation=more.operation or "",
        provider=more.provider or "",
        model=more.model or "",
        input_tokens=more.input_tokens,
        output_tokens=more.output_tokens,
    )


def log_record(row: LogRow) -> LogRecord:
    scope = SpanScope(row.scope_name or "", row.scope_version or "", _raw(row.scope_attributes))
    return LogRecord(
        time=None if row.time_ns is None else moment(row.time_ns),
        observed_time=None if row.observed_ns is None else moment(row.observed_ns),
        severity_number=row.severity,
        severity_text=row.severity_text or "",
        event_name=row.event_name or "",
        body=None if row.body == "null" else Raw(row.body.encode()),
        attributes=Raw(row.attributes.encode()),
        dropped_attributes_count=row.dropped_attributes,
        flags=row.flags,
        trace_id=row.trace_id,
        span_id=row.span_id,
        resource=_raw(row.resource),
        scope=scope if scope != SpanScope() else None,
    )


def events_of(more: SpanDetailsRow) -> list[EventText]:
    return _events.decode(more.events) if more.events else []


def links_of(more: SpanDetailsRow) -> list[LinkText]:
    return _links.decode(more.links) if more.links else []


def attributes_of(row: SpanRow, wanted: Sequence[str] = ()) -> Raw:
    """Returns the attributes as JSON: all of them, or the wanted ones that the span has."""
    text = row.attributes
    if not text:
        return _NONE
    if not wanted:
        return Raw(text.encode())
    found = _raw_object.decode(text)
    return Raw(_encode({name: found[name] for name in wanted if name in found}))


def moment(ns: int) -> str:
    """Formats RFC 3339 with microseconds; nanoseconds are truncated, never rounded up, so that the order is
    kept."""
    return rfc3339(ns // 1_000)


def _fields(row: SpanRow) -> dict[str, Any]:
    return {
        "span_id": row.span_id,
        "trace_id": row.trace_id,
        "parent_span_id": None if row.parent is None else f"{row.parent:016x}",
        "name": row.name,
        "start_time": moment(row.start_ns),
        "end_time": _end(row.end_ns),
    }


def _end(ns: int | None) -> str | None:
    return None if ns is None else moment(ns)


def _status(row: SpanRow) -> SpanStatus:
    return "error" if row.status == _ERROR else "ok"


def _raw(text: str | None) -> Raw | None:
    return Raw(text.encode()) if text else None
