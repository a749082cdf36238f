"""Parses queries of traces and spans: limits, order, depth, attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast, get_args

from schemas.api.telemetry import QueryTracesRequest
from schemas.telemetry_query import OrderKey, TraceOrder, TraceQuery
from telemetry.query.errors import QueryInvalid
from telemetry.query.parse_filters import MAX_KEY_CHARACTERS, parse_filters

TRACES = 100
"""The default limit of returned traces."""
MAX_ATTRIBUTES = 1_024
ORDERS = get_args(TraceOrder)
NEWEST_FIRST = (OrderKey("start_time", descending=True),)
_FAR = 2**31


Nearest = Callable[[str, Iterable[str]], str]
"""Finds the known name most similar to an unknown one; empty if none is similar enough."""


def trace_query(request: QueryTracesRequest, nearest: Nearest) -> TraceQuery:
    """Parses a query of traces. Raises QueryInvalid."""
    return TraceQuery(
        filters=parse_filters(request.attribute_filters),
        order=_order(request.order_by, nearest),
        limit=checked_limit(request.limit, TRACES),
        offset=checked_offset(request.offset),
    )


def checked_limit(limit: int | None, default: int) -> int | None:
    """Returns the number of results to return; None for all. Raises QueryInvalid."""
    if limit is None:
        return default
    if limit < -1:
        raise QueryInvalid(f"limit is {limit}; it must be 0 or more, or -1 for all.")
    return None if limit == -1 else min(limit, _FAR)


def checked_offset(offset: int | None) -> int:
    """Returns the number of results to skip. Raises QueryInvalid."""
    if offset is not None and offset < 0:
        raise QueryInvalid(f"offset is {offset}; it must be 0 or more.")
    return min(offset or 0, _FAR)


def _order(names: Sequence[str] | None, nearest: Nearest) -> tuple[OrderKey, ...]:
    if not names:
        return NEWEST_FIRST
    if len(names) > len(ORDERS):
        raise QueryInvalid(
            f"order_by holds {len(names)} names; there are {len(ORDERS)} to sort by: {_choices()}."
        )
    keys: list[OrderKey] = []
    for number, name in enumerate(names):
        by = name.removeprefix("-")
        if by not in ORDERS:
            near = nearest(by, ORDERS)
            hint = f"did you mean {near!r}? " if near else ""
            raise QueryInvalid(
                f"order_by[{number}] is {name[:60]!r}; {hint}Traces are sorted by {_choices()}."
            )
        if any(key.by == by for key in keys):
            raise QueryInvalid(f"order_by[{number}] is {name[:60]!r}, which was named before; name it once.")
        keys.append(OrderKey(cast(TraceOrder, by), descending=name.startswith("-")))
    return tuple(keys)


def _choices() -> str:
    return f"{', '.join(ORDERS)}, each with an optional `-` for the reverse"


def checked_depth(max_depth: int | None) -> int | None:
    """Returns the number of levels to return, 1 for the span alone; None for all. Raises QueryInvalid."""
    if max_depth is not None and max_depth < 1:
        raise QueryInvalid(
            f"max_depth is {max_depth}; it must be 1 (the span alone) or more, or absent for all."
        )
    return max_depth


def wanted_attributes(names: Sequence[str] | None, field: str) -> tuple[str, ...]:
    """Returns the attributes to return, without duplicates; empty means all. Raises QueryInvalid."""
    wanted = tuple(dict.fromkeys(names or ()))
    if len(wanted) > MAX_ATTRIBUTES:
        raise QueryInvalid(f"{field} holds {len(wanted)} names; at most {MAX_ATTRIBUTES} can be chosen.")
    for name in wanted:
        if len(name) > MAX_KEY_CHARACTERS:
            raise QueryInvalid(
                f"{field} holds a name of {len(name)} characters; at most {MAX_KEY_CHARACTERS}."
            )
    return wanted
