"""Converts conditions such as `--where gen_ai.request.model=gpt-x` to filters of the API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from stack.errors import Invalid

_CONDITION = re.compile(r"(.+?)(!=|=|>|<)(.*)", re.DOTALL)
_OPERATORS = {"=": "eq", "!=": "ne", ">": "gt", "<": "lt"}


def filters_of(conditions: Sequence[str], errors: bool) -> list[dict[str, Any]]:
    """Parses the conditions. Raises Invalid."""
    filters = [_filter(text) for text in conditions]
    if errors:
        filters.append({"key": "span.status", "op": "eq", "value": "error"})
    return filters


def _filter(text: str) -> dict[str, Any]:
    found = _CONDITION.fullmatch(text)
    if found is None or not _is_text(text):
        raise Invalid(f"--where {text[:100]!r}: write it as KEY=VALUE, KEY!=VALUE, KEY>VALUE or KEY<VALUE.")
    key, operator, value = found.groups()
    return {"key": key.strip(), "op": _OPERATORS[operator], "value": _value(key.strip(), value.strip())}


def _value(key: str, text: str) -> Any:
    """Parses a value as JSON if possible, otherwise as a text; ids and names are always texts."""
    if key in ("trace_id", "span_id"):
        return text
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return text if key == "span.name" and not isinstance(value, str) else value


def _is_text(text: str) -> bool:
    """Returns whether it is valid Unicode: arguments may contain any bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
