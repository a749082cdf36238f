"""Reads the fields of a row, and reports those that cannot be used."""

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
    """Returns the value of a field. Raises RowFault if the row does not have it."""
    if name not in row:
        raise RowFault(f"The row has no {name!r}.")
    return row[name]


def text(row: Row, name: str, limit: int | None = None) -> str:
    """Returns the value of a field that must be text of at most `limit` characters. Raises RowFault."""
    value = field(row, name)
    if not isinstance(value, str):
        raise RowFault(f"{name!r} is {kind(value)}; it must be text.")
    if limit is not None and len(value) > limit:
        raise RowFault(f"{name!r} has {len(value):,} characters; at most {limit:,} can be scored.")
    return value


def kind(value: Any) -> str:
    """Returns the type of a JSON value in words."""
    return KINDS.get(type(value), type(value).__name__)
