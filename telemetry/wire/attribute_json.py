"""Converts attributes of protobuf requests to JSON text, the form in which they are stored, searched and
returned.

Values keep their types: integers have no decimal point and floats have one (or an exponent), NaN and the
infinities are the strings "NaN", "Infinity", "-Infinity", bytes are base64, a missing value is null. If a key
occurs twice, the last value is used.
"""

from __future__ import annotations

import math
from base64 import b64encode
from typing import Any

import msgspec

from telemetry.wire.message_count import check_values
from telemetry.wire.refusals import Malformed

SEPARATOR = b"\x1e"
"""Separates the fragments of a row; JSON text never contains it."""

MAX_KNOWN = 65_536
MAX_KNOWN_BYTES = 160
"""Bounds of the cache: attributes whose fragments are at most this long, in bytes, and at most that many of
them (about 25 MB, 45 MB at most)."""

_encode = msgspec.json.Encoder().encode
_SHORT = 0x80
_MAX_KNOWN_KEYS = 16_384


class Attributes(dict[bytes, tuple[bytes, bytes]]):
    """Maps an encoded `KeyValue` to its key and its fragment `"key":value`, both JSON text. Raises
    Malformed."""

    def __missing__(self, encoded: bytes) -> tuple[bytes, bytes]:
        found = _simple(encoded) or _any(encoded)
        if len(found[1]) <= MAX_KNOWN_BYTES:
            if len(self) >= MAX_KNOWN:
                self.clear()
            self[encoded] = found
        return found

    def fragments(self, encoded: Any) -> dict[bytes, bytes]:
        """Returns the fragments of a list of encoded attributes, by key."""
        return dict(map(self.__getitem__, encoded))


class _Keys(dict[bytes, bytes]):
    """Caches the JSON text of keys."""

    def __missing__(self, key: bytes) -> bytes:
        text = text_json(key)
        if len(self) >= _MAX_KNOWN_KEYS:
            self.clear()
        self[key] = text
        return text


_keys = _Keys()


def _simple(encoded: bytes) -> tuple[bytes, bytes] | None:
    """Decodes short attributes as all senders encode them, in 0.8 instead of 2.2 us: key, then value, each
    shorter than 128 bytes. Returns None for all others."""
    size = len(encoded)
    if size < 6 or encoded[0] != 0x0A or encoded[1] >= _SHORT:
        return None
    end = 2 + encoded[1]
    if end + 4 > size or encoded[end] != 0x12:
        return None
    if encoded[end + 1] >= _SHORT or end + 2 + encoded[end + 1] != size:
        return None
    key, kind = _keys[encoded[2:end]], encoded[end + 2]
    if kind == 0x0A:
        if encoded[end + 3] >= _SHORT or end + 4 + encoded[end + 3] != size:
            return None
        return key, key + b":" + text_json(encoded[end + 4 :])
    if kind == 0x18:
        number = _varint(encoded, end + 3)
        return None if number is None else (key, b"%b:%d" % (key, number))
    if kind == 0x10 and end + 4 == size and encoded[end + 3] < 2:
        return key, key + (b":true" if encoded[end + 3] else b":false")
    return None


def _varint(encoded: bytes, start: int) -> int | None:
    """Returns the 64-bit integer that ends with `encoded`; None if none does."""
    number = 0
    for shift, byte in enumerate(encoded[start:]):
        number |= (byte & 0x7F) << (7 * shift)
        if byte < _SHORT:
            if start + shift + 1 != len(encoded) or shift > 8:
                return None
            return number
    # Negative integers take ten bytes.
    return None


def _any(encoded: bytes) -> tuple[bytes, bytes]:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

    check_values(encoded, is_attribute=True)
    try:
        attribute = KeyValue.FromString(encoded)
    except (DecodeError, RecursionError) as error:
        raise Malformed(f"An attribute cannot be decoded: {error}.") from None
    key = _encode(attribute.key)
    return key, key + b":" + value_json(attribute.value)


def text_json(utf8: bytes) -> bytes:
    """Raises Malformed."""
    try:
        return _encode(utf8.decode())
    except UnicodeDecodeError:
        raise Malformed("A text is not UTF-8.") from None


def value_json(value: Any) -> bytes:
    """Returns the JSON text of an `AnyValue`."""
    kind = value.WhichOneof("value")
    match kind:
        case "string_value":
            return _encode(value.string_value)
        case "bool_value":
            return b"true" if value.bool_value else b"false"
        case "int_value":
            return b"%d" % value.int_value
        case "double_value":
            return float_json(value.double_value)
        case "bytes_value":
            return b'"%b"' % b64encode(value.bytes_value)
        case "array_value":
            return b"[%b]" % b",".join(map(value_json, value.array_value.values))
        case "kvlist_value":
            return object_json({_encode(pair.key): pair for pair in value.kvlist_value.values})
    return b"null"


def object_json(pairs: dict[bytes, Any]) -> bytes:
    """Returns the JSON text of an object. `pairs` maps the JSON text of keys to encoded values."""
    return b"{%b}" % b",".join([b"%b:%b" % (key, value_json(pair.value)) for key, pair in pairs.items()])


def float_json(value: float) -> bytes:
    if math.isfinite(value):
        return _encode(value)
    return b'"NaN"' if value != value else b'"Infinity"' if value > 0 else b'"-Infinity"'


def joined(fragments: dict[bytes, bytes]) -> bytes:
    """Returns the JSON text of an object with these fragments."""
    return b"{%b}" % b",".join(fragments.values())
