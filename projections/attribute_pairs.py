"""The texts hashed for searches by attribute: `"key":value`, as written in the JSON of a span's
attributes."""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_INT64 = range(-(2**63), 2**63)


def fragments_of(key: str, value: Any) -> list[str] | None:
    """Returns all texts of attributes equal to this one: for a number those of the integer and of the float.
    Returns None if equality cannot be decided by text: equal arrays or objects may be written differently,
    and null means missing."""
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
        # Half of a surrogate pair, which no stored text contains.
        return []


def _numbers(value: float) -> list[str]:
    found = []
    try:
        if value == int(value) and int(value) in _INT64:
            found.append(str(int(value)))
        if float(value) == value:
            found.append(_encode(float(value)).decode())
    except (OverflowError, ValueError):
        # An integer that no float equals, or an infinity, which is stored as a text.
        pass
    return [*found, "-0.0"] if value == 0 else found
