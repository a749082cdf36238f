"""Values in OTLP's JSON: 64-bit numbers as text, bytes in base64, attributes by the name of their type."""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from telemetry.wire import otlp_json
from telemetry.wire.attribute_json import float_json
from telemetry.wire.refusals import Malformed

MAX_DEPTH = 48
"""Maximum nesting of values; protobuf's own limit, 100 nested messages, is about the same."""

_encode = msgspec.json.Encoder().encode
_MAX_DIGITS = 20
_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch
_NO_REALS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# After an even number of backslashes, which are escaped characters: a surrogate pair, or half of one.
_SURROGATES = re.compile(
    rb"(?<!\\)((?:\\\\)*+)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def value_json(value: otlp_json.AnyValue | None, depth: int = 0) -> bytes:
    """Returns the JSON text of a value, like `attribute_json.value_json`. Raises Malformed."""
    if value is None:
        return b"null"
    if value.string_value is not None:
        return _encode(value.string_value)
    if value.bool_value is not None:
        return b"true" if value.bool_value else b"false"
    if value.int_value is not None:
        return _integer_json(value.int_value)
    if value.double_value is not None:
        return float_json(real(value.double_value))
    if value.bytes_value is not None:
        return b'"%b"' % b64encode(_bytes(value.bytes_value))
    return _nested(value, depth + 1)


def _integer_json(value: str | float) -> bytes:
    """JavaScript has one number type, and its SDK sends all whole numbers as integers: here 1e+21 is a
    float."""
    if not isinstance(value, str) and not -(2**63) <= value < 2**63:
        return float_json(real(value))
    return b"%d" % _int64(value)


def _nested(value: otlp_json.AnyValue, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise Malformed(f"A value has more than {MAX_DEPTH} levels of values.")
    if value.array_value is not None:
        return b"[%b]" % b",".join([value_json(held, depth) for held in value.array_value.values or ()])
    if value.kvlist_value is not None:
        pairs = {_encode(pair.key): pair.value for pair in value.kvlist_value.values or ()}
        return b"{%b}" % b",".join([b"%b:%b" % (key, value_json(held, depth)) for key, held in pairs.items()])
    return b"null"


def whole(value: Any) -> int:
    """Parses a 64-bit integer, with or without a sign; a missing value is 0. Raises Malformed."""
    if isinstance(value, str):
        digits = value[1:] if value.startswith("-") else value
        # Other scripts have digits too, and `int` accepts white space and underscores.
        number = int(value) if digits.isdigit() and value.isascii() and len(digits) <= _MAX_DIGITS else None
    elif not value:
        return 0
    else:
        number = int(value) if value == value // 1 else None
    if number is None or not -(2**63) <= number < 2**64:
        raise Malformed(f"{_short(value)} is not a whole number of 64 bits.")
    return number


def wholes(values: Sequence[Any]) -> list[int]:
    """Like `whole` for many values. Most are texts of digits, which are parsed together three times as fast.
    Raises Malformed."""
    try:
        text = "".join(values)
        if text.isdigit() and text.isascii():
            numbers = list(map(int, values))
            if max(numbers) < 2**64:
                return numbers
    except (TypeError, ValueError):
        pass
    return list(map(whole, values))


def _int64(value: Any) -> int:
    if isinstance(value, str) and len(value) < _MAX_DIGITS - 1 and value.isdigit() and value.isascii():
        return int(value)
    number = whole(value)
    if number >= 2**63:
        raise Malformed(f"{_short(value)} is not a whole number of 64 bits.")
    return number


def real(value: Any) -> float:
    """Parses a double; a missing value is 0. Raises Malformed."""
    if value is None:
        return 0.0
    if isinstance(value, str) and value in _NO_REALS:
        return _NO_REALS[value]
    try:
        number = float(value) if not isinstance(value, str) or _REAL(value) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Malformed(f"{_short(value)} is not a number that a double can be.")
    return number


def with_whole_characters(body: bytes) -> bytes:
    """Replaces halves of surrogate pairs in JSON text by U+FFFD: JavaScript writes them if it has truncated a
    text within a character."""
    return _SURROGATES.sub(lambda found: found[0] if found[2] else found[1] + rb"\ufffd", body)


def _short(value: Any) -> str:
    return repr(str(value)[:40])


def _bytes(text: str) -> bytes:
    """Decodes base64, with either alphabet, with or without padding."""
    try:
        whole_text = text.replace("-", "+").replace("_", "/")
        return b64decode(whole_text + "=" * (-len(whole_text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("A bytesValue is not base64.") from None
