"""Parsed conditions on spans and log records: typed, with times in nanoseconds and ids as numbers."""

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
    """Compares an attribute of the span or log record (`own`), of its resource, or a part of a log record's body; an
    empty `key` is the body itself. `value` is decoded JSON; None, with `eq` and `ne` only, means a missing key."""

    of: Literal["own", "resource", "body"]
    key: str
    op: QueryConditionOp
    value: Any


class TextFilter(Struct, frozen=True):
    """Compares a text of the span or log record. A missing text meets `ne` only."""

    field: TextField
    op: QueryConditionOp
    value: str


class NumberFilter(Struct, frozen=True):
    """Whether a field lies in `low` to `high`, both included, or with `inverted` outside of that. A missing field meets
    an inverted filter only.

    Ids are their 128 or 64 bits as a number; times are nanoseconds since 1970, durations nanoseconds; `kind` is
    OTLP's number, as `severity`; `failed` is 1 for the status error, else 0. Where `low` is above `high` nothing lies between them.
    """

    field: NumberField
    low: int
    high: int
    inverted: bool = False


class MissingFilter(Struct, frozen=True):
    """Whether a field is missing, or with `inverted` whether it is there."""

    field: NumberField | TextField
    inverted: bool = False


SpanFilter = AttributeFilter | TextFilter | NumberFilter | MissingFilter
"""A condition on a span or on a log record."""


class OrderKey(Struct, frozen=True):
    """One key that traces are sorted by."""

    by: TraceOrder
    descending: bool


class TraceQuery(Struct, frozen=True):
    """Which traces, in which order. `limit` is None for all."""

    filters: tuple[SpanFilter, ...]
    order: tuple[OrderKey, ...]
    limit: int | None
    offset: int


class LogQuery(Struct, frozen=True):
    """Which log records. `limit` is None for all; records without a time come last in either order."""

    filters: tuple[SpanFilter, ...]
    oldest_first: bool
    limit: int | None
    offset: int
