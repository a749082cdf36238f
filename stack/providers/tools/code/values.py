"""Values of executed code: as text for the model, and as arguments of tools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

_SHOWN_DEPTH = 50
_SHOWN_INT_BITS = 14_000
"""Python refuses to write longer integers as decimal digits (4,300 of them)."""
_JSON_INTS = range(-(2**63), 2**64)

_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}


def shown(value: Any, limit: int) -> str:
    """Returns a text as it is, and any other value as Python writes it, up to `limit` characters. The cost is bounded
    by the limit, even for a list that contains itself or one other list a million times."""
    if isinstance(value, str):
        return cut(value, limit)
    pieces: list[str] = []
    left = limit
    for piece in _pieces(value, limit, 0):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            break
    return cut("".join(pieces), limit)


def cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[The rest is left out: at most {limit:,} characters are returned.]"


def cut_middle(text: str, limit: int) -> str:
    """Keeps the beginning of a traceback and its end, with the message."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n[Left out: {len(text) - limit:,} characters.]\n{text[-limit // 2 :]}"


def _pieces(value: Any, limit: int, depth: int) -> Iterator[str]:
    """Yields the parts of a value's text. Each has a bounded length."""
    if depth > _SHOWN_DEPTH:
        yield "..."
    elif isinstance(value, dict):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(key, limit, depth + 1)
            yield ": "
            yield from _pieces(item, limit, depth + 1)
        yield "}"
    elif type(value) in _BRACKETS and (value or type(value) in (list, tuple)):
        begin, end = _BRACKETS[type(value)]
        yield begin
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item, limit, depth + 1)
        yield ",)" if type(value) is tuple and len(value) == 1 else end
    elif isinstance(value, str | bytes):
        yield repr(value[: limit + 1])
    elif isinstance(value, int) and value.bit_length() > _SHOWN_INT_BITS:
        yield f"<an integer of {value.bit_length():,} bits>"
    elif hasattr(value, "attributes"):
        # An object of a class that the code defines.
        yield f"{value.name}("
        for number, (name, item) in enumerate(islice(value.attributes.items(), limit)):
            yield f", {name}=" if number else f"{name}="
            yield from _pieces(item, limit, depth + 1)
        yield ")"
    else:
        yield repr(value)


def arguments(
    name: str, given: Sequence[Any], named: Mapping[str, Any], parameters: Sequence[str]
) -> dict[str, Any]:
    """Returns the arguments of a tool from those of a function call. A single dictionary whose keys are parameters
    counts as all of them. Raises TypeError as Python does for a call that does not fit."""
    if len(given) == 1 and not named and _is_all(given[0], parameters):
        return dict(given[0])
    if len(given) > len(parameters):
        raise TypeError(f"{name}() takes {len(parameters)} positional arguments but {len(given)} were given")
    found = dict(zip(parameters, given, strict=False))
    if twice := found.keys() & named.keys():
        raise TypeError(f"{name}() got multiple values for argument {min(twice)!r}")
    return {**found, **named}


def check_json(value: Any, depth: int, where: str) -> None:
    """Raises TypeError or ValueError, naming the place, for a value that JSON does not have or that is nested more than
    `depth` levels deep."""
    if depth < 0:
        raise ValueError(f"{where[:100]}: arguments are nested too deeply")
    match value:
        case None | bool() | str():
            pass
        case int():
            if value not in _JSON_INTS:
                raise ValueError(f"{where}: the integer has more than 64 bits; pass it as a string")
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{where}: {value} is not a JSON number")
        case list() | tuple():
            for number, item in enumerate(value):
                check_json(item, depth - 1, f"{where}[{number}]")
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"{where}: the keys of a dictionary must be strings")
                check_json(item, depth - 1, f"{where}.{key[:100]}")
        case _:
            raise TypeError(
                f"{where}: a tool takes JSON values, not {type(value).__name__}; convert it, for example with str()"
            )


def _is_all(value: Any, parameters: Sequence[str]) -> bool:
    return isinstance(value, dict) and bool(value) and all(key in parameters for key in value)
