"""Parsed conditions on spans and log records: typed, with times in nanoseconds and ids as integers."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.telemetry import QueryConditionOp

NumberField = Literal[
    "trace_id", "span_id", "start_time", "duration", "kind", "failed", "time", "observed_time", "severity"
]
TextField = Literal["name", "event_name", "severity_text", "scope_name", "scope_version"]
TraceOrder = Literal["start_time", "end_time", "duration", "name", "status", "span_count"]


class AttributeFilter(Struct, frozen=True):
    """Compares an attribute of the span or log record (`own`), of its resource, or a part of a log record's
    body; an empty `key` means the body itself. `value` is decoded JSON; None, with `eq` and `ne` only, means
    a missing key."""

    of: Literal["own", "resource", "body"]
    key: str
    op: QueryConditionOp
    value: Any


class TextFilter(Struct, frozen=True):
    """Compares a text field of the span or log record. A missing field matches `ne` only."""

    field: TextField
    op: QueryConditionOp
    value: str


class NumberFilter(Struct, frozen=True):
    """Matches if a field lies in `low` to `high`, both included, or with `inverted` outside of it. A missing
    field matches an inverted filter only. If `low` is greater than `high`, the range is empty.

    Ids are integers of 128 or 64 bits; times are nanoseconds since 1970, durations nanoseconds; `kind` and
    `severity` are OTLP's numbers; `failed` is 1 for the status error, otherwise 0.
    """

    field: NumberField
    low: int
    high: int
    inverted: bool = False


class MissingFilter(Struct, frozen=True):
    """Matches if a field is missing, or with `inverted` if it is present."""

    field: NumberField | TextField
    inverted: bool = False


SpanFilter = AttributeFilter | TextFilter | NumberFilter | MissingFilter
"""A condition on a span or on a log record."""


class OrderKey(Struct, frozen=True):
    """One key by which traces are sorted."""

    by: TraceOrder
    descending: bool


class TraceQuery(Struct, frozen=True):
    """Selects and orders traces. `limit` is None for all."""

    filters: tuple[SpanFilter, ...]
    order: tuple[OrderKey, ...]
    limit: int | None
    offset: int


class LogQuery(Struct, frozen=True):
    """Selects log records. `limit` is None for all; records without a time are last in either order."""

    filters: tuple[SpanFilter, ...]
    oldest_first: bool
    limit: int | None
    offset: int
