"""Parses the filters of a request: the field of each one, and the compared value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec

from schemas.api.telemetry import QueryCondition
from schemas.telemetry_query import AttributeFilter, NumberField, NumberFilter, SpanFilter, TextFilter
from telemetry.query.errors import QueryInvalid
from telemetry.query.moment import moment

MAX_FILTERS = 64
MAX_KEY_CHARACTERS = 4_096
MAX_VALUE_BYTES = 65_536
"""Maximum size of a value as JSON text, in bytes."""
MAX_PARTS = 256
"""Maximum number of values in all filters of a request, including nested ones: each is compared
separately."""

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Kinds of spans by their number in OTLP."""
STATUSES = ("ok", "error")
ID_DIGITS: dict[NumberField, int] = {"trace_id": 32, "span_id": 16}

NamedField = Callable[[QueryCondition, str], SpanFilter]
"""Parses the condition on one field; the text is its place in the request. Raises QueryInvalid."""

_ATTRIBUTES, _RESOURCE = "attributes.", "resource."
_DIGITS = "0123456789abcdef"
_LEAST, _MOST = -(2**63), 2**63 - 1
_NS = 1_000_000_000


def parse_filters(
    conditions: Sequence[QueryCondition] | None,
    own: Mapping[str, NamedField] | None = None,
    prefixes: Mapping[str, Literal["body"]] | None = None,
) -> tuple[SpanFilter, ...]:
    """Parses the filters of a request. `own` are the fields with names of their own, by default those of
    spans; a key that begins with one of `prefixes` is a key within that field. Raises QueryInvalid, naming
    the place of the filter."""
    own = FIELDS if own is None else own
    if conditions is None:
        return ()
    if len(conditions) > MAX_FILTERS:
        raise QueryInvalid(
            f"attribute_filters holds {len(conditions)} filters; at most {MAX_FILTERS} can be used."
        )
    filters = tuple(
        _parsed(condition, f"attribute_filters[{number}]", own, prefixes or {})
        for number, condition in enumerate(conditions)
    )
    parts = sum(_parts(condition.value) for condition in conditions)
    if parts > MAX_PARTS:
        raise QueryInvalid(f"attribute_filters hold {parts} values; at most {MAX_PARTS} can be compared.")
    return filters


def _parsed(
    condition: QueryCondition,
    where: str,
    own: Mapping[str, NamedField],
    prefixes: Mapping[str, Literal["body"]],
) -> SpanFilter:
    key = condition.key
    if not key or len(key) > MAX_KEY_CHARACTERS:
        raise QueryInvalid(f"{where}.key has {len(key)} characters; it must have 1 to {MAX_KEY_CHARACTERS}.")
    if key in own:
        return own[key](condition, where)
    check_value(condition, where)
    if key.startswith(_ATTRIBUTES) and len(key) > len(_ATTRIBUTES):
        return AttributeFilter("own", key.removeprefix(_ATTRIBUTES), condition.op, condition.value)
    if key.startswith(_RESOURCE) and len(key) > len(_RESOURCE):
        return AttributeFilter("resource", key.removeprefix(_RESOURCE), condition.op, condition.value)
    for prefix, field in prefixes.items():
        if key.startswith(prefix) and len(key) > len(prefix):
            return AttributeFilter(field, key.removeprefix(prefix), condition.op, condition.value)
    return AttributeFilter("own", key, condition.op, condition.value)


def check_value(condition: QueryCondition, where: str) -> None:
    """Raises QueryInvalid for a value that cannot be compared with this operator, or is too large."""
    value = condition.value
    if condition.op in ("gt", "lt") and (isinstance(value, bool) or not isinstance(value, int | float | str)):
        raise QueryInvalid(
            f"{where}.value: `{condition.op}` compares numbers and texts; {kind_of(value)} has no order."
        )
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1_000:
        raise QueryInvalid(f"{where}.value is out of the range of numbers.")
    if isinstance(value, str | list | dict):
        size = len(msgspec.json.encode(value))
        if size > MAX_VALUE_BYTES:
            raise QueryInvalid(f"{where}.value has {size} bytes; at most {MAX_VALUE_BYTES} can be compared.")


def _parts(value: Any) -> int:
    """Returns the number of values in it, including itself; without recursion, because it may be deeply
    nested."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return count


def _always(parsed: NamedField) -> NamedField:
    """Wraps the parser of a field that is never missing: null matches nothing, or everything with `ne`."""

    def parsed_or_null(condition: QueryCondition, where: str) -> SpanFilter:
        if condition.value is not None:
            return parsed(condition, where)
        check_value(condition, where)
        return NumberFilter("kind", 1, 0, inverted=condition.op == "ne")

    return parsed_or_null


def _name(condition: QueryCondition, where: str) -> TextFilter:
    return TextFilter("name", condition.op, text_of(condition.value, where, condition.key))


def _of_names(
    field: NumberField, names: tuple[str, ...], condition: QueryCondition, where: str
) -> NumberFilter:
    value = condition.value
    name = str(value).lower().removeprefix("span_kind_").removeprefix("status_code_")
    if not isinstance(value, str) or name not in names:
        raise QueryInvalid(
            f"{where}.value: {condition.key} is one of {', '.join(names)}; {shown(value)} is none of them."
        )
    if condition.op in ("gt", "lt"):
        raise QueryInvalid(f"{where}.op: {condition.key} has no order; compare it with `eq` or `ne`.")
    number = names.index(name)
    return NumberFilter(field, number, number, inverted=condition.op == "ne")


def _duration(condition: QueryCondition, where: str) -> NumberFilter:
    value = condition.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise QueryInvalid(
            f"{where}.value: span.duration_ms is a number of milliseconds, not {kind_of(value)}."
        )
    # A duration in whole nanoseconds, divided by 10^6, is restored from its nearest float by rounding.
    return _compared("duration", condition, *_bounded(_scaled(value, 1_000_000), 1))


def compared_time(field: NumberField, condition: QueryCondition, where: str) -> NumberFilter:
    """Returns a filter on a time in nanoseconds. Raises QueryInvalid for a value that is not a time."""
    value = condition.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _compared(field, condition, *_bounded(_scaled(value, _NS), 1_000))
    found = moment(value) if isinstance(value, str) else None
    if found is None:
        raise QueryInvalid(
            f"{where}.value: {condition.key} is a time such as '2026-01-31T12:00:00.000000Z' or a number of seconds "
            f"since 1970, not {shown(value)}."
        )
    # Times are returned with microseconds: a time equal to a returned one began within that microsecond.
    return _compared(field, condition, *_bounded(found.ns - found.ns % found.open_ns, found.open_ns))


def _scaled(value: float, factor: int) -> int:
    return round(max(-1e19, min(1e19, value)) * factor)


def _bounded(value: int, open_ns: int) -> tuple[int, int]:
    """Returns the first and the last nanosecond of `value`, limited to one beyond the 64-bit range."""
    return max(_LEAST - 1, min(_MOST + 1, value)), max(_LEAST - 1, min(_MOST + 1, value + open_ns - 1))


def _compared(field: NumberField, condition: QueryCondition, first: int, last: int) -> NumberFilter:
    match condition.op:
        case "gt":
            return NumberFilter(field, last + 1, _MOST)
        case "lt":
            return NumberFilter(field, _LEAST, first - 1)
    return NumberFilter(field, first, last, inverted=condition.op == "ne")


def id_filter(field: NumberField, condition: QueryCondition, where: str) -> NumberFilter:
    """Ids compare as lower-case hexadecimal text; all have the same length, so this is a range of numbers."""
    text = text_of(condition.value, where, condition.key).lower()
    digits = ID_DIGITS[field]
    most = 16**digits - 1
    whole = len(text) == digits and all(digit in _DIGITS for digit in text)
    if condition.op in ("eq", "ne"):
        low, high = (int(text, 16),) * 2 if whole else (1, 0)
        return NumberFilter(field, low, high, inverted=condition.op == "ne")
    below = _ids_below(text, digits)
    if condition.op == "lt":
        return NumberFilter(field, 0, below - 1)
    return NumberFilter(field, below + whole, most)


def _ids_below(text: str, digits: int) -> int:
    """Returns how many of the ids with this many digits sort before `text` as texts."""
    number = 0
    for place in range(digits):
        if place == len(text):
            return number << 4 * (digits - place)
        smaller = sum(digit < text[place] for digit in _DIGITS)
        number = (number << 4) + smaller
        if text[place] not in _DIGITS:
            return number << 4 * (digits - place - 1)
    # A longer text sorts after the id that is its prefix.
    return number + (len(text) > digits)


def text_of(value: Any, where: str, key: str) -> str:
    """Returns a value that must be a text. Raises QueryInvalid."""
    if not isinstance(value, str):
        raise QueryInvalid(f"{where}.value: {key} is a text, not {kind_of(value)}.")
    if len(value.encode()) > MAX_VALUE_BYTES:
        raise QueryInvalid(f"{where}.value has {len(value)} characters; that is more than can be compared.")
    return value


def shown(value: Any) -> str:
    """Formats a value for an error text."""
    return repr(value[:60]) if isinstance(value, str) else kind_of(value)


def kind_of(value: Any) -> str:
    """Returns the JSON type of a value, for an error text."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "an array"
    return "an object"


FIELDS: Mapping[str, NamedField] = {
    "span.name": _always(_name),
    "span.kind": _always(lambda condition, where: _of_names("kind", KINDS, condition, where)),
    "span.status": _always(lambda condition, where: _of_names("failed", STATUSES, condition, where)),
    "span.duration_ms": _always(_duration),
    "span.start_time": _always(partial(compared_time, "start_time")),
    "trace_id": _always(partial(id_filter, "trace_id")),
    "span_id": _always(partial(id_filter, "span_id")),
}
"""A span's own fields."""
