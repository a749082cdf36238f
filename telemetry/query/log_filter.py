"""The fields of a log record that filters can name, in addition to its attributes, and the parsing of log
queries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from schemas.api.telemetry import QueryCondition, QueryLogsRequest
from schemas.telemetry_query import (
    AttributeFilter,
    LogQuery,
    MissingFilter,
    NumberField,
    NumberFilter,
    SpanFilter,
    TextField,
    TextFilter,
)
from telemetry.query.errors import QueryInvalid
from telemetry.query.parse_filters import (
    NamedField,
    check_value,
    compared_time,
    id_filter,
    kind_of,
    parse_filters,
    shown,
    text_of,
)
from telemetry.query.span_query import checked_limit, checked_offset

RECORDS = 100
"""The default limit of returned records."""
ORDERS = ("time", "-time")
LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
"""Each level covers four severity numbers; `trace` starts at 1."""
_OTHER_NAMES = {"warning": "warn", "critical": "fatal"}
_BODY = "log.body"
_SERVICE = "service.name"


def log_query(request: QueryLogsRequest) -> LogQuery:
    """Parses a query of log records. Raises QueryInvalid."""
    return LogQuery(
        filters=parse_filters(request.attribute_filters, FIELDS, {f"{_BODY}.": "body"}),
        oldest_first=_oldest_first(request.order_by),
        limit=checked_limit(request.limit, RECORDS),
        offset=checked_offset(request.offset),
    )


def _oldest_first(names: Sequence[str] | None) -> bool:
    if not names:
        return False
    if len(names) > 1 or names[0] not in ORDERS:
        named = ", ".join(repr(name[:60]) for name in names[:3])
        raise QueryInvalid(
            f"order_by is [{named}]; log records are sorted by `time`, or `-time` for the newest first."
        )
    return names[0] == "time"


def _text(field: TextField) -> NamedField:
    def parsed(condition: QueryCondition, where: str) -> SpanFilter:
        return TextFilter(field, condition.op, text_of(condition.value, where, condition.key))

    return _nullable(field, parsed)


def _id(field: NumberField) -> NamedField:
    return _nullable(field, lambda condition, where: id_filter(field, condition, where))


def _time(field: NumberField) -> NamedField:
    return _nullable(field, lambda condition, where: compared_time(field, condition, where))


def _nullable(field: NumberField | TextField, parse: NamedField) -> NamedField:
    """Adds the value null, which means that the field is missing, to the values that `parse` knows."""

    def parsed(condition: QueryCondition, where: str) -> SpanFilter:
        if condition.value is None:
            return _missing(field, condition, where)
        return parse(condition, where)

    return parsed


def _missing(field: NumberField | TextField, condition: QueryCondition, where: str) -> MissingFilter:
    check_value(condition, where)
    return MissingFilter(field, inverted=condition.op == "ne")


def _severity_number(condition: QueryCondition, where: str) -> SpanFilter:
    value = condition.value
    if value is None:
        return _missing("severity", condition, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise QueryInvalid(
            f"{where}.value: log.severity_number is a number from 1 (trace) to 24 (fatal), not {kind_of(value)}."
        )
    number = max(-1.0, min(100.0, float(value)))
    if condition.op == "gt":
        return NumberFilter("severity", math.floor(number) + 1, 100)
    if condition.op == "lt":
        return NumberFilter("severity", 0, math.ceil(number) - 1)
    low, high = (int(number), int(number)) if number == int(number) else (1, 0)
    return NumberFilter("severity", low, high, inverted=condition.op == "ne")


def _severity(condition: QueryCondition, where: str) -> SpanFilter:
    """Parses a level: `error` covers 17 to 20, `error2` only 18."""
    value = condition.value
    if not isinstance(value, str):
        return _severity_number(condition, where)
    first, last = _levels(value, where)
    match condition.op:
        case "gt":
            return NumberFilter("severity", last + 1, 100)
        case "lt":
            return NumberFilter("severity", 0, first - 1)
    return NumberFilter("severity", first, last, inverted=condition.op == "ne")


def _levels(value: str, where: str) -> tuple[int, int]:
    name = value.lower().removeprefix("severity_number_")
    digit = name[-1:] if name[-1:] in ("2", "3", "4") else ""
    level = name.removesuffix(digit)
    level = _OTHER_NAMES.get(level, level)
    if level not in LEVELS:
        raise QueryInvalid(f"{where}.value: log.severity is one of {', '.join(LEVELS)}, not {shown(value)}.")
    first = 4 * LEVELS.index(level) + 1
    if digit:
        return first + int(digit) - 1, first + int(digit) - 1
    return first, first + 3


def _body(condition: QueryCondition, where: str) -> SpanFilter:
    check_value(condition, where)
    return AttributeFilter("body", "", condition.op, condition.value)


def _service(condition: QueryCondition, where: str) -> SpanFilter:
    check_value(condition, where)
    return AttributeFilter("resource", _SERVICE, condition.op, condition.value)


FIELDS: Mapping[str, NamedField] = {
    _BODY: _body,
    "log.severity": _severity,
    "log.severity_number": _severity_number,
    "log.severity_text": _text("severity_text"),
    "log.event_name": _text("event_name"),
    "log.time": _time("time"),
    "log.observed_time": _time("observed_time"),
    _SERVICE: _service,
    "trace_id": _id("trace_id"),
    "span_id": _id("span_id"),
    "scope.name": _text("scope_name"),
    "scope.version": _text("scope_version"),
}
