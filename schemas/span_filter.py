"""Conditions on spans as they are understood: typed, with times in nanoseconds and ids as numbers."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.telemetry import QueryConditionOp

NumberField = Literal["trace_id", "span_id", "start_time", "duration", "kind", "failed"]
TraceOrder = Literal["start_time", "end_time", "duration", "name", "status", "span_count"]


class AttributeFilter(Struct, frozen=True):
    """Compares an attribute of the span, or of its resource. `value` is decoded JSON; None stands for a key that is
    missing, with `eq` and `ne` only."""

    of: Literal["span", "resource"]
    key: str
    op: QueryConditionOp
    value: Any


class NameFilter(Struct, frozen=True):
    """Compares the span's name."""

    op: QueryConditionOp
    value: str


class NumberFilter(Struct, frozen=True):
    """Whether a field of the span lies in `low` to `high`, both included, or with `inverted` outside of that.

    Ids are their 128 or 64 bits as a number; times are nanoseconds since 1970, durations nanoseconds; `kind` is
    OTLP's number, `failed` 1 for the status error, else 0. Where `low` is above `high` nothing lies between them.
    """

    field: NumberField
    low: int
    high: int
    inverted: bool = False


SpanFilter = AttributeFilter | NameFilter | NumberFilter


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
