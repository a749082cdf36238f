"""Translates conditions on spans and log records to SQL. Keys and values are parameters, never part of the
statement's text; arrays and objects are compared element by element."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from schemas.api.telemetry import QueryConditionOp
from schemas.telemetry_query import AttributeFilter, MissingFilter, NumberFilter, SpanFilter, TextFilter

_SIGNS: Mapping[QueryConditionOp, str] = {"eq": "=", "gt": ">", "lt": "<"}
_LEAST, _MOST = -(2**63), 2**63 - 1

_encode = msgspec.json.Encoder().encode


class Parameters:
    """The parameters of one statement."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def add(self, value: Any) -> str:
        """Adds a value and returns its placeholder."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"${name}"


def condition(one: SpanFilter, columns: Mapping[str, str], parameters: Parameters) -> str:
    """Returns the condition as SQL; NULL means that it is not met. `columns` maps the fields of the filters
    to expressions, and `own`, `resource` and `body` to JSON texts."""
    match one:
        case TextFilter(field=text, op="ne", value=value):
            return f"{columns[text]} IS DISTINCT FROM {parameters.add(value)}"
        case TextFilter(field=text, op=op, value=value):
            return f"{columns[text]} {_SIGNS[op]} {parameters.add(value)}"
        case MissingFilter(field=field, inverted=inverted):
            return f"{columns[field]} IS {'NOT ' if inverted else ''}NULL"
        case NumberFilter(field=field, low=low, high=high, inverted=inverted):
            if low > high:
                return "true" if inverted else "false"
            column = columns[field]
            first, last = (UUID(int=one) if field == "trace_id" else one for one in (low, high))
            if low == high:
                return f"{column} {'IS DISTINCT FROM' if inverted else '='} {parameters.add(first)}"
            within = f"{column} BETWEEN {parameters.add(first)} AND {parameters.add(last)}"
            return f"({within}) IS NOT true" if inverted else f"({within})"
    if one.of == "body" and not one.key:
        return _where_it_is(one, _Place(columns["body"], "", parameters), parameters)
    return _attribute(one, columns[one.of], parameters)


def _attribute(one: AttributeFilter, column: str, parameters: Parameters) -> str:
    """Rows without the key are excluded by searching the JSON text: parsing all of it would take ten times as
    long, and memory for each condition."""
    is_met_without = (one.op == "eq") == (one.value is None) and one.op in ("eq", "ne")
    otherwise = "true" if is_met_without else "false"
    name = _name(one.key)
    if not name:
        return otherwise
    place = _Place(column, pointer(one.key), parameters)
    has_key = f"contains({column}, {parameters.add(name)})"
    return f"CASE WHEN {has_key} THEN {_where_it_is(one, place, parameters)} ELSE {otherwise} END"


def _name(key: str) -> str:
    """Returns the key as written in the JSON text of attributes; empty if no attribute can have it."""
    try:
        return f"{_encode(key).decode()}:"
    except UnicodeEncodeError:
        return ""


def _where_it_is(one: AttributeFilter, place: _Place, parameters: Parameters) -> str:
    if one.value is None:
        missing = f"coalesce({place.type()}, 'NULL') = 'NULL'"
        return missing if one.op == "eq" else f"NOT ({missing})"
    if one.op == "ne":
        return f"NOT coalesce({_equal(place, one.value)}, false)"
    if one.op == "eq":
        return f"coalesce({_equal(place, one.value)}, false)"
    if isinstance(one.value, str):
        ordered = f"{place.text()} {_SIGNS[one.op]} {parameters.add(one.value)}"
        return f"coalesce({place.type()} = 'VARCHAR' AND {ordered}, false)"
    return f"coalesce({_number(place, one.op, one.value)}, false)"


def pointer(key: str, above: str = "") -> str:
    """Returns the JSON pointer (RFC 6901) of a key under another."""
    return f"{above}/{key.replace('~', '~0').replace('/', '~1')}"


class _Place:
    """A value within a JSON column, addressed by its JSON pointer; the empty pointer means the whole."""

    def __init__(self, column: str, path: str, parameters: Parameters) -> None:
        self.column = column
        self.path = path
        self.parameters = parameters
        self._placeholder = parameters.add(path or "$")

    def child(self, key: str) -> _Place:
        return _Place(self.column, pointer(key, self.path), self.parameters)

    def type(self) -> str:
        return f"json_type({self.column}, {self._placeholder})"

    def text(self) -> str:
        return f"json_extract_string({self.column}, {self._placeholder})"

    def call(self, function: str) -> str:
        return f"{function}({self.column}, {self._placeholder})"


def _equal(place: _Place, value: Any) -> str:
    """Tests for equality, including the type; 1 and 1.0 are the same number."""
    match value:
        case None:
            return f"{place.type()} = 'NULL'"
        case bool():
            return f"({place.type()} = 'BOOLEAN' AND {place.text()} = {place.parameters.add(str(value).lower())})"
        case str():
            return f"({place.type()} = 'VARCHAR' AND {place.text()} = {place.parameters.add(value)})"
        case list():
            length = f"{place.call('json_array_length')} = {place.parameters.add(len(value))}"
            parts = [_equal(place.child(str(number)), part) for number, part in enumerate(value)]
            return " AND ".join([f"({place.type()} = 'ARRAY' AND {length}", *parts]) + ")"
        case dict():
            keys = f"list_sort({place.call('json_keys')}) = {place.parameters.add(sorted(value))}::VARCHAR[]"
            parts = [_equal(place.child(key), part) for key, part in value.items()]
            return " AND ".join([f"({place.type()} = 'OBJECT' AND {keys}", *parts]) + ")"
    return _number(place, "eq", value)


def _number(place: _Place, op: QueryConditionOp, value: float) -> str:
    """Compares exactly, for any mixture of integers and floats: neither side is rounded."""
    sign, whole = _whole_bound(op, value)
    integers = f"TRY_CAST({place.text()} AS BIGINT) {sign} {place.parameters.add(whole)}" if sign else "false"
    sign, bound = _float_bound(op, value)
    floats = f"TRY_CAST({place.text()} AS DOUBLE) {sign} {place.parameters.add(bound)}" if sign else "false"
    return (
        f"CASE {place.type()} WHEN 'UBIGINT' THEN {integers} WHEN 'BIGINT' THEN {integers} "
        f"WHEN 'DOUBLE' THEN {floats} ELSE false END"
    )


def _whole_bound(op: QueryConditionOp, value: float) -> tuple[str, int]:
    """Returns a sign and an integer with which 64-bit integers are compared. The sign is empty if none of
    them matches."""
    if op == "eq":
        whole = int(value)
        return ("=", whole) if whole == value and _LEAST <= whole <= _MOST else ("", 0)
    if op == "gt":
        bound = math.floor(value) + 1
        return (">=", max(bound, _LEAST)) if bound <= _MOST else ("", 0)
    bound = math.ceil(value) - 1
    return ("<=", min(bound, _MOST)) if bound >= _LEAST else ("", 0)


def _float_bound(op: QueryConditionOp, value: float) -> tuple[str, float]:
    """Returns how floats compare with `value`, which may be an integer that no float equals."""
    nearest = float(value)
    if op == "eq":
        return ("=", nearest) if nearest == value else ("", 0.0)
    if op == "gt":
        return (">=" if nearest > value else ">", nearest)
    return ("<=" if nearest < value else "<", nearest)
