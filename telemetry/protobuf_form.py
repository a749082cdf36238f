"""How requests in protobuf are read: what differs from JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from telemetry import row_json
from telemetry.attribute_json import Attributes
from telemetry.log import Signal
from telemetry.refusals import Malformed
from telemetry.wire_schema import message_type, request_type

_TRACE = "opentelemetry.proto.trace.v1."
_MAX_KNOWN = 1024


class _Parsed(dict[bytes, Any]):
    """What comes again and again, by its bytes."""

    def __init__(self, parse: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, encoded: bytes) -> Any:
        found = self._parse(encoded)
        if len(self) >= _MAX_KNOWN:
            self.clear()
        if len(encoded) <= 16_384:
            self[encoded] = found
        return found


class ProtobufForm:
    """One for all requests: it remembers what they have in common. Raises Malformed."""

    def __init__(self) -> None:
        self._attributes = Attributes()
        self.fragments = self._attributes.fragments
        self.resource = _Parsed(self._resource).__getitem__
        self.scope = _Parsed(self._scope).__getitem__
        self._statuses = _Parsed(self._status)

    def request(self, signal: Signal, body: bytes) -> Any:
        return _parsed(request_type(signal), body, "The body")

    def ids(self, values: Sequence[bytes]) -> Sequence[bytes]:
        return values

    def numbers(self, values: Sequence[int]) -> Sequence[int]:
        return values

    def enums(self, values: Sequence[int], names: Sequence[str]) -> list[int]:
        return [value if 0 <= value < len(names) else 0 for value in values]

    def statuses(self, values: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Code and message."""
        return list(map(self._statuses.__getitem__, values))

    def events(self, values: Sequence[bytes]) -> bytes:
        """JSON text."""
        kind = message_type(f"{_TRACE}Span.Event")
        return b"[%b]" % b",".join([self._event(_parsed(kind, value, "An event")) for value in values])

    def links(self, values: Sequence[bytes]) -> bytes:
        """JSON text."""
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
        kind = message_type("opentelemetry.proto.common.v1.InstrumentationScope")
        scope = _parsed(kind, encoded, "A scope")
        return scope.name, scope.version, self.fragments(scope.attributes), scope.dropped_attributes_count


def _parsed(kind: Any, encoded: bytes, what: str) -> Any:
    try:
        return kind.FromString(encoded)
    except (DecodeError, RecursionError):
        raise Malformed(f"{what} is not the protobuf message that it should be.") from None
