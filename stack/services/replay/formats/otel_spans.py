"""Reads spans from OTLP/JSON lines: requests as exporters send them, or as the collector's file exporter writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from stack.errors import Invalid
from stack.services.replay.formats.source_text import MAX_TIME_US, lines
from telemetry.own import conventions as names

MAX_SPANS = 1_000_000
DETAILS = "gen_ai.client.inference.operation.details"
"""An event with messages, from instrumentation that does not put them on the span itself."""
_OTHER_SIGNALS = ("resourceLogs", "resourceMetrics", "resource_logs", "resource_metrics", "resourceProfiles")
MAX_VALUE_DEPTH = 32


class ReadSpan:
    """A span with its attributes as JSON values. Times are microseconds since 1970; `error` is the message of a failed
    one, None if it did not fail. `invocation` is the id of the nearest `invoke_agent` span, itself included. `resource`
    are the attributes of the program that recorded it, `events` those events that are not messages."""

    def __init__(self, span: dict[str, Any], line: int, resource: dict[str, Any]) -> None:
        self._read: set[str] = set()
        self.resource = resource
        self.events: list[Any] = []
        self.line = line
        self.name = _text(span.get("name"))
        self.trace_id = _text(span.get("traceId"))
        self.span_id = _text(span.get("spanId"))
        self.parent_id = _text(span.get("parentSpanId"))
        self.began_at = _microseconds(span.get("startTimeUnixNano"))
        self.ended_at = _microseconds(span.get("endTimeUnixNano")) or self.began_at
        self.attributes = _attributes(span.get("attributes"))
        for event in _objects(span.get("events")):
            if event.get("name") == DETAILS:
                self.attributes = _attributes(event.get("attributes")) | self.attributes
            else:
                self.events.append(event)
        self.operation = self.text(names.GEN_AI_OPERATION_NAME)
        self.invocation = ""
        status = span.get("status")
        code = status.get("code") if isinstance(status, dict) else None
        self.error: str | None = None
        if code in (2, "2", "STATUS_CODE_ERROR") and isinstance(status, dict):
            self.error = (
                _text(status.get("message")) or self.text(names.ERROR_TYPE) or "The recorded call failed."
            )

    def value(self, name: str) -> Any:
        """Returns a value; the value of text that is JSON, as content is recorded."""
        value = self.attributes.get(name)
        if value is not None:
            self._read.add(name)
        if isinstance(value, str) and value[:1] in ("[", "{"):
            try:
                return msgspec.json.decode(value)
            except (msgspec.DecodeError, RecursionError):
                return value
        return value

    def text(self, name: str) -> str:
        value = self.attributes.get(name)
        if not isinstance(value, str):
            return ""
        self._read.add(name)
        return value

    def count(self, name: str) -> int | None:
        value = self.attributes.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
            return None
        self._read.add(name)
        return value

    def unread(self) -> dict[str, Any]:
        """Returns the attributes that no one has read."""
        return {name: value for name, value in self.attributes.items() if name not in self._read}


def read_spans(data: bytes) -> list[ReadSpan]:
    """Returns the spans of a file, each once. Raises Invalid."""
    found: dict[tuple[str, str], ReadSpan] = {}
    others = 0
    for number, request in lines(data):
        resources = request.get("resourceSpans", request.get("resource_spans"))
        if not isinstance(resources, list):
            if not any(name in request for name in _OTHER_SIGNALS):
                raise Invalid(
                    f"Line {number} is not OTLP/JSON: it has no resourceSpans. Each line must be one export request."
                )
            others += 1
            continue
        for resource, span in _spans(resources):
            read = ReadSpan(span, number, resource)
            if not read.trace_id or not read.span_id:
                raise Invalid(f"Line {number} has a span without traceId or spanId.")
            found.setdefault((read.trace_id, read.span_id), read)
        if len(found) > MAX_SPANS:
            raise Invalid(f"The file has more than {MAX_SPANS} spans; import it in parts.")
    if not found:
        raise Invalid(
            f"The file has no spans ({others} lines are other signals); there is nothing to import."
        )
    return list(found.values())


def _spans(resources: list[Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yields spans, each with the attributes of its resource."""
    for of_resource in _objects(resources):
        resource = of_resource.get("resource")
        attributes = _attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
        for scope in _objects(of_resource.get("scopeSpans", of_resource.get("scope_spans"))):
            for span in _objects(scope.get("spans")):
                yield attributes, span


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _attributes(value: Any) -> dict[str, Any]:
    return {key: _any(one.get("value")) for one in _objects(value) if (key := _text(one.get("key")))}


def _any(value: Any, depth: int = 0) -> Any:
    """Returns an `AnyValue` as a JSON value; None if it is none."""
    if not isinstance(value, dict) or depth > MAX_VALUE_DEPTH:
        return None
    for kind, found in value.items():
        match kind, found:
            case ("stringValue" | "boolValue" | "bytesValue" | "doubleValue", _):
                return found
            case ("intValue", str() | int() | float()):
                try:
                    return int(found)
                except (ValueError, OverflowError):
                    return None
            case ("arrayValue", {"values": list() as values}):
                return [_any(one, depth + 1) for one in values]
            case ("kvlistValue", {"values": list() as values}):
                return {_text(one.get("key")): _any(one.get("value"), depth + 1) for one in _objects(values)}
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _microseconds(value: Any) -> int:
    try:
        found = int(value or 0) // 1000
    except (TypeError, ValueError, OverflowError):
        return 0
    return found if 0 < found < MAX_TIME_US else 0
