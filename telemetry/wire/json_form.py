"""The JSON form of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from telemetry.log.port import Signal
from telemetry.wire import otlp_json, row_json
from telemetry.wire.attribute_json import MAX_KNOWN, MAX_KNOWN_BYTES
from telemetry.wire.decoded import MAX_COUNT
from telemetry.wire.json_values import real, value_json, whole, wholes, with_whole_characters
from telemetry.wire.refusals import Malformed, TooLarge
from telemetry.wire.row_limit import MAX_ROWS

_encode = msgspec.json.Encoder().encode
_key_value = msgspec.json.Decoder(otlp_json.KeyValue).decode
_REQUESTS: dict[Signal, Any] = {
    "traces": msgspec.json.Decoder(otlp_json.TracesData),
    "metrics": msgspec.json.Decoder(otlp_json.MetricsData),
    "logs": msgspec.json.Decoder(otlp_json.LogsData),
}
STATUS_CODES = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")
MAX_OBJECTS = 2 * MAX_ROWS
"""Maximum number of JSON objects. An attribute has two, in 30 bytes. Empty ones take 3 bytes, and 100 once
decoded."""
_OBJECT_BYTES = 3


class _Attributes(dict[bytes, tuple[bytes, bytes]]):
    """Maps the text of a `KeyValue` to its key and its fragment, like `attribute_json.Attributes`."""

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
    """Implements `Form`."""

    def __init__(self) -> None:
        self._attributes = _Attributes()

    def request(self, signal: Signal, body: bytes) -> Any:
        if len(body) > MAX_OBJECTS * _OBJECT_BYTES and body.count(b"{") > MAX_OBJECTS:
            raise TooLarge(f"The request has more than {MAX_OBJECTS} objects. Send less at a time.")
        decode = _REQUESTS[signal].decode
        try:
            return decode(body)
        except msgspec.DecodeError:
            return _decoded(decode, with_whole_characters(body), "The body")
        except (UnicodeDecodeError, RecursionError):
            return _decoded(decode, body, "The body")

    def fragments(self, values: Sequence[msgspec.Raw] | None) -> dict[bytes, bytes]:
        return dict(map(self._attributes.__getitem__, map(bytes, values))) if values else {}

    def ids(self, values: Sequence[str | None]) -> list[bytes]:
        try:
            ids = [bytes.fromhex(value) if value else b"" for value in values]
        except ValueError:
            return [_id(value) for value in values]
        # `fromhex` ignores white space.
        if 2 * sum(map(len, ids)) != sum([len(value) for value in values if value]):
            return [_id(value) for value in values]
        return ids

    def number(self, value: Any) -> int:
        return whole(value)

    def numbers(self, values: Sequence[Any] | None) -> list[int]:
        return wholes(values or ())

    def counts(self, values: Sequence[Any]) -> list[int]:
        if not any(values):
            return [0] * len(values)
        return [_count(value) for value in values]

    def reals(self, values: Sequence[Any] | None) -> list[float]:
        return [real(value) for value in values or ()]

    def enums(self, values: Sequence[Any], names: Sequence[str]) -> list[int]:
        return [
            value if type(value) is int and 0 <= value < len(names) else _enum(value, names)
            for value in values
        ]

    def real_or_none(self, message: Any, field: str) -> float | None:
        value = getattr(message, field)
        return None if value is None else real(value)

    def choice(self, message: Any, name: str, fields: Sequence[str]) -> str | None:
        for field in fields:
            if getattr(message, field) is not None:
                return field
        return None

    def buckets(self, buckets: otlp_json.Buckets | None) -> tuple[int, list[int]]:
        if buckets is None:
            return 0, []
        return whole(buckets.offset), self.numbers(buckets.bucket_counts)

    def bodies(self, values: Sequence[otlp_json.AnyValue | None]) -> list[bytes]:
        return [value_json(value) for value in values]

    def statuses(self, values: Sequence[otlp_json.Status | None]) -> list[tuple[int, bytes]]:
        return [
            (_enum(status.code, STATUS_CODES), (status.message or "").encode()) if status else (0, b"")
            for status in values
        ]

    def events(self, values: Sequence[otlp_json.Event]) -> bytes:
        return b"[%b]" % b",".join(
            [
                row_json.event(
                    _time(event.time_unix_nano),
                    event.name or "",
                    self.fragments(event.attributes),
                    _count(event.dropped_attributes_count),
                )
                for event in values
            ]
        )

    def links(self, values: Sequence[otlp_json.Link]) -> bytes:
        return b"[%b]" % b",".join(
            [
                row_json.link(
                    _id(link.trace_id, b""),
                    _id(link.span_id, b""),
                    link.trace_state or "",
                    _count(link.flags),
                    self.fragments(link.attributes),
                    _count(link.dropped_attributes_count),
                )
                for link in values
            ]
        )

    def resource(self, resource: otlp_json.Resource | None) -> tuple[dict[bytes, bytes], int]:
        if resource is None:
            return {}, 0
        return self.fragments(resource.attributes), _count(resource.dropped_attributes_count)

    def scope(self, scope: otlp_json.Scope | None) -> tuple[str, str, dict[bytes, bytes], int]:
        if scope is None:
            return "", "", {}, 0
        attributes = self.fragments(scope.attributes)
        return scope.name or "", scope.version or "", attributes, _count(scope.dropped_attributes_count)


def _count(value: Any) -> int:
    """Returns a 32-bit number."""
    return min(max(whole(value), 0), MAX_COUNT) if value else 0


def _time(value: Any) -> int:
    return max(whole(value), 0)


def _enum(value: Any, names: Sequence[str]) -> int:
    """Returns 0 for an unknown name."""
    if isinstance(value, str) and value in names:
        return names.index(value)
    if isinstance(value, str) and not value.isdigit():
        return 0
    number = whole(value)
    return number if 0 <= number < len(names) else 0


def _id(value: str | None, otherwise: bytes = b"?") -> bytes:
    try:
        made = bytes.fromhex(value or "")
    except ValueError:
        return otherwise
    return made if 2 * len(made) == len(value or "") else otherwise


def _decoded(decode: Any, text: bytes, what: str) -> Any:
    try:
        return decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{what} is not the JSON that it should be: {error}.") from None
    except RecursionError:
        raise Malformed(f"{what} is nested too deeply.") from None
