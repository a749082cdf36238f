"""The protobuf form of requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from telemetry.log.port import Signal
from telemetry.wire import row_json
from telemetry.wire.attribute_json import Attributes, text_json, value_json
from telemetry.wire.message_count import check_rows, check_values
from telemetry.wire.refusals import Malformed
from telemetry.wire.remembered import Remembered
from telemetry.wire.wire_schema import message_type, request_type

_COMMON = "opentelemetry.proto.common.v1."
_TRACE = "opentelemetry.proto.trace.v1."
_MAX_KNOWN_BYTES = 4 << 20


class ProtobufForm:
    """Implements `Form`."""

    def __init__(self) -> None:
        self._attributes = Attributes()
        self.fragments = self._attributes.fragments
        self.resource = _remembered(self._resource)
        self.scope = _remembered(self._scope)
        self._status_of = _remembered(self._status)

    def request(self, signal: Signal, body: bytes) -> Any:
        check_rows(signal, body)
        return _parsed(request_type(signal), body, "The body")

    def ids(self, values: Sequence[bytes]) -> Sequence[bytes]:
        return values

    def number(self, value: int) -> int:
        return value

    def numbers(self, values: Sequence[int]) -> Sequence[int]:
        return values

    def counts(self, values: Sequence[int]) -> Sequence[int]:
        return values

    def reals(self, values: Sequence[float]) -> Sequence[float]:
        return values

    def enums(self, values: Sequence[int], names: Sequence[str]) -> list[int]:
        return [value if 0 <= value < len(names) else 0 for value in values]

    def real_or_none(self, message: Any, field: str) -> float | None:
        return getattr(message, field) if message.HasField(field) else None

    def choice(self, message: Any, name: str, fields: Sequence[str]) -> str | None:
        chosen: str | None = message.WhichOneof(name)
        return chosen

    def buckets(self, buckets: Any) -> tuple[int, Sequence[int]]:
        return buckets.offset, buckets.bucket_counts

    def bodies(self, values: Sequence[bytes]) -> list[bytes]:
        return [_value(encoded) for encoded in values]

    def statuses(self, values: Sequence[bytes]) -> list[tuple[int, bytes]]:
        return list(map(self._status_of, values))

    def events(self, values: Sequence[bytes]) -> bytes:
        kind = message_type(f"{_TRACE}Span.Event")
        return b"[%b]" % b",".join([self._event(_parsed(kind, value, "An event")) for value in values])

    def links(self, values: Sequence[bytes]) -> bytes:
        kind = message_type(f"{_TRACE}Span.Link")
        return b"[%b]" % b",".join([self._link(_parsed(kind, value, "A link")) for value in values])

    def _event(self, event: Any) -> bytes:
        return row_json.event(
            event.time_unix_nano, event.name, self.fragments(event.attributes), event.dropped_attributes_count
        )

    def _link(self, link: Any) -> bytes:
        return row_json.link(
            link.trace_id,
            link.span_id,
            link.trace_state,
            link.flags,
            self.fragments(link.attributes),
            link.dropped_attributes_count,
        )

    def _status(self, encoded: bytes) -> tuple[int, bytes]:
        status = _parsed(message_type(f"{_TRACE}Status"), encoded, "A status")
        return status.code if status.code in (1, 2) else 0, status.message.encode()

    def _resource(self, encoded: bytes) -> tuple[dict[bytes, bytes], int]:
        kind = message_type("opentelemetry.proto.resource.v1.Resource")
        resource = _parsed(kind, encoded, "A resource")
        return self.fragments(resource.attributes), resource.dropped_attributes_count

    def _scope(self, encoded: bytes) -> tuple[str, str, dict[bytes, bytes], int]:
        scope = _parsed(message_type(f"{_COMMON}InstrumentationScope"), encoded, "A scope")
        return scope.name, scope.version, self.fragments(scope.attributes), scope.dropped_attributes_count


def _remembered(make: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return Remembered(make, len, _MAX_KNOWN_BYTES).__getitem__


def _value(encoded: bytes) -> bytes:
    """Returns the JSON text of an `AnyValue`. Most of them are texts."""
    size = len(encoded)
    if not size:
        return b"null"
    if size > 1 and encoded[0] == 0x0A and encoded[1] < 0x80 and encoded[1] + 2 == size:
        return text_json(encoded[2:])
    check_values(encoded)
    return value_json(_parsed(message_type(f"{_COMMON}AnyValue"), encoded, "A value"))


def _parsed(kind: Any, encoded: bytes, what: str) -> Any:
    try:
        return kind.FromString(encoded)
    except (DecodeError, RecursionError):
        raise Malformed(f"{what} is not the protobuf message that it should be.") from None
