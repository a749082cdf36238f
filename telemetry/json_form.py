"""How requests in JSON are read: what differs from protobuf."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from telemetry import otlp_json, row_json
from telemetry.attribute_json import MAX_KNOWN, MAX_KNOWN_BYTES, float_json
from telemetry.log import Signal
from telemetry.refusals import Malformed

_encode = msgspec.json.Encoder().encode
_key_value = msgspec.json.Decoder(otlp_json.KeyValue).decode
_REQUESTS: dict[Signal, Any] = {
    "traces": msgspec.json.Decoder(otlp_json.TracesData),
    "metrics": msgspec.json.Decoder(otlp_json.MetricsData),
    "logs": msgspec.json.Decoder(otlp_json.LogsData),
}
STATUS_CODES = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")


class _Attributes(dict[bytes, tuple[bytes, bytes]]):
    """From the text of a `KeyValue` to its key and its fragment, as `attribute_json.Attributes`."""

    def __missing__(self, text: bytes) -> tuple[bytes, bytes]:
        pair = _decoded(_key_value, text, "An attribute")
        key = _encode(pair.key)
        found = key, key + b":" + value_json(pair.value)
        if len(text) <= MAX_KNOWN_BYTES:
            if len(self) >= MAX_KNOWN:
                self.clear()
            self[text] = found
        return found


class JsonForm:
    """One for all requests: it remembers what they have in common. Raises Malformed."""

    def __init__(self) -> None:
        self._attributes = _Attributes()

    def request(self, signal: Signal, body: bytes) -> Any:
        return _decoded(_REQUESTS[signal].decode, body, "The body")

    def fragments(self, values: Sequence[msgspec.Raw] | None) -> dict[bytes, bytes]:
        return dict(map(self._attributes.__getitem__, map(bytes, values))) if values else {}

    def ids(self, values: Sequence[str | None]) -> list[bytes]:
        """What is no hexadecimal text becomes one byte: an id of no valid length."""
        try:
            return [bytes.fromhex(value) if value else b"" for value in values]
        except ValueError:
            return [_id(value) for value in values]

    def numbers(self, values: Sequence[Any]) -> list[int]:
        return [value if type(value) is int else whole(value) for value in values]

    def enums(self, values: Sequence[Any], names: Sequence[str]) -> list[int]:
        return [
            value if type(value) is int and 0 <= value < len(names) else _enum(value, names)
            for value in values
        ]

    def statuses(self, values: Sequence[otlp_json.Status | None]) -> list[tuple[int, bytes]]:
        return [
            (_enum(status.code, STATUS_CODES), (status.message or "").encode()) if status else (0, b"")
            for status in values
        ]

    def events(self, values: Sequence[otlp_json.Event]) -> bytes:
        return b"[%b]" % b",".join(
            [
                row_json.event(
                    whole(event.time_unix_nano),
                    event.name or "",
                    self.fragments(event.attributes),
                    whole(event.dropped_attributes_count),
                )
                for event in values
            ]
        )

    def links(self, values: Sequence[otlp_json.Link]) -> bytes:
        return b"[%b]" % b",".join(
            [
                row_json.link(
                    _id(link.trace_id),
                    _id(link.span_id),
                    link.trace_state or "",
                    whole(link.flags),
                    self.fragments(link.attributes),
                    whole(link.dropped_attributes_count),
                )
                for link in values
            ]
        )

    def resource(self, resource: otlp_json.Resource | None) -> tuple[dict[bytes, bytes], int]:
        if resource is None:
            return {}, 0
        return self.fragments(resource.attributes), whole(resource.dropped_attributes_count)

    def scope(self, scope: otlp_json.Scope | None) -> tuple[str, str, dict[bytes, bytes], int]:
        if scope is None:
            return "", "", {}, 0
        attributes = self.fragments(scope.attributes)
        return scope.name or "", scope.version or "", attributes, whole(scope.dropped_attributes_count)


def value_json(value: otlp_json.AnyValue | None) -> bytes:
    """JSON text of a value, as `attribute_json.value_json` writes it."""
    if value is None:
        return b"null"
    if value.string_value is not None:
        return _encode(value.string_value)
    if value.bool_value is not None:
        return b"true" if value.bool_value else b"false"
    if value.int_value is not None:
        return b"%d" % whole(value.int_value)
    if value.double_value is not None:
        return float_json(real(value.double_value))
    if value.array_value is not None:
        return b"[%b]" % b",".join(map(value_json, value.array_value.values or ()))
    if value.kvlist_value is not None:
        pairs = {_encode(pair.key): pair.value for pair in value.kvlist_value.values or ()}
        return b"{%b}" % b",".join([b"%b:%b" % (key, value_json(held)) for key, held in pairs.items()])
    if value.bytes_value is not None:
        return b'"%b"' % b64encode(_bytes(value.bytes_value))
    return b"null"


def whole(value: Any) -> int:
    """An integer as JSON has them: a number, or text. Raises Malformed."""
    try:
        number = int(value or 0)
        if isinstance(value, float) and number != value:
            raise ValueError
    except (ValueError, OverflowError):
        raise Malformed(f"{str(value)[:40]!r} is not a whole number.") from None
    return number


def real(value: Any) -> float:
    """A number as JSON has them, with the texts "NaN", "Infinity", "-Infinity". Raises Malformed."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise Malformed(f"{str(value)[:40]!r} is not a number.") from None


def _enum(value: Any, names: Sequence[str]) -> int:
    if isinstance(value, str) and value in names:
        return names.index(value)
    if isinstance(value, str) and not value.isdigit():
        return 0
    number = whole(value)
    return number if 0 <= number < len(names) else 0


def _id(value: str | None) -> bytes:
    try:
        return bytes.fromhex(value or "")
    except ValueError:
        return b"?"


def _bytes(text: str) -> bytes:
    """Base64, with either alphabet and with or without padding."""
    try:
        whole_text = text.replace("-", "+").replace("_", "/")
        return b64decode(whole_text + "=" * (-len(whole_text) % 4), validate=True)
    except binascii.Error:
        raise Malformed("A bytesValue is not base64.") from None


def _decoded(decode: Any, text: bytes, what: str) -> Any:
    try:
        return decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{what} is not the JSON that it should be: {error}.") from None
    except RecursionError:
        raise Malformed(f"{what} is nested too deeply.") from None
