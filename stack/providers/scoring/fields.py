"""Reads the fields of a row, and says what is wrong with those that cannot be used."""

from __future__ import annotations

from typing import Any

from stack.providers.scoring.port import Row, RowFault

KINDS = {
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def field(row: Row, name: str) -> Any:
    """The value of a field. Raises RowFault where the row has none."""
    if name not in row:
        raise RowFault(f"The row has no {name!r}.")
    return row[name]


def text(row: Row, name: str, limit: int | None = None) -> str:
    """The value of a field that is text of at most `limit` characters. Raises RowFault."""
    value = field(row, name)
    if not isinstance(value, str):
        raise RowFault(f"{name!r} is {kind(value)}; it must be text.")
    if limit is not None and len(value) > limit:
        raise RowFault(f"{name!r} has {len(value):,} characters; at most {limit:,} can be scored.")
    return value


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    return KINDS.get(type(value), type(value).__name__)
