"""The text of an attribute that is hashed for the search: its key and its value, if that is simple.

Two attributes have the same text exactly if they are equal: 1 and 1.0 are, 1 and "1" and true are not. Arrays and
objects have none, nor has null, which counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SEPARATOR = "\x1e"
"""Between the pairs of one span; a text never holds it."""

_EXACT = 2**63


def pair_text(key: str, value: Any) -> str | None:
    """`value` is as the API shows it: NaN a text, bytes base64."""
    match value:
        case str():
            text = f"{len(key)}:{key}s{value}"
        case bool():
            text = f"{len(key)}:{key}b{int(value)}"
        case int() | float():
            # A number is written as an integer where it is one of 64 bits, else as the nearest float.
            whole = -_EXACT <= value < _EXACT and value == int(value)
            text = f"{len(key)}:{key}n{int(value) if whole else _as_float(value)}"
        case _:
            return None
    if SEPARATOR in text or "\x1f" in text:
        text = text.replace("\x1f", "\x1f1").replace(SEPARATOR, "\x1f2")
    return text


def _as_float(value: float) -> str:
    nearest = float(value)
    # An integer that no float is equal to is equal to no attribute either.
    return repr(nearest) if nearest == value else repr(value)


def joined(pairs: Iterable[tuple[str, Any]] | Mapping[str, Any]) -> str:
    """The texts of a span's attributes, as the store takes them."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return SEPARATOR.join([text for key, value in items if (text := pair_text(key, value)) is not None])
