"""The texts that are hashed for the search by attributes: `"key":value`, as it is in the JSON of a span's attributes."""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_INT64 = range(-(2**63), 2**63)


def fragments_of(key: str, value: Any) -> list[str] | None:
    """All texts of attributes that are equal to this one: of a number that of the integer and that of the float. None
    where texts do not tell: two arrays or objects may be equal and be written otherwise, and null counts as missing."""
    match value:
        case str():
            values = _texts(value)
        case bool():
            values = ["true" if value else "false"]
        case int() | float():
            values = _numbers(value)
        case _:
            return None
    return [f"{name}:{text}" for name in _texts(key) for text in values]


def _texts(value: str) -> list[str]:
    try:
        return [_encode(value).decode()]
    except UnicodeEncodeError:
        # Half a surrogate pair, which nothing that is stored has.
        return []


def _numbers(value: float) -> list[str]:
    found = []
    try:
        if value == int(value) and int(value) in _INT64:
            found.append(str(int(value)))
        if float(value) == value:
            found.append(_encode(float(value)).decode())
    except (OverflowError, ValueError):
        # An integer that no float is equal to, or an infinity, which is a text where it is stored.
        pass
    return [*found, "-0.0"] if value == 0 else found
