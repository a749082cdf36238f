"""The meaning of filters, traces and their order, in the simplest form: the actual queries are compared with
it."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any

from tests.telemetry.otlp_requests import PlainSpan

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


def shown(value: Any) -> Any:
    """A value as the API shows it."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case bytes():
            return base64.b64encode(value).decode()
        case list() | tuple():
            return [shown(one) for one in value]
        case dict():
            return {key: shown(one) for key, one in value.items()}
    return value


def same(a: Any, b: Any) -> bool:
    """Equal, with types: 1 is 1.0 and neither is true or "1"."""
    match a, b:
        case bool(), _:
            return a is b
        case _, bool():
            return False
        case ((int() | float()), (int() | float())):
            return a == b
        case list(), list():
            return len(a) == len(b) and all(same(one, other) for one, other in zip(a, b, strict=True))
        case dict(), dict():
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and bool(a == b)


def compared(found: Any, op: str, value: Any) -> bool:
    if value is None:
        return found is None if op == "eq" else found is not None
    if op == "eq":
        return same(found, value)
    if op == "ne":
        return not same(found, value)
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (found, value))
    texts = isinstance(found, str) and isinstance(value, str)
    if not numbers and not texts:
        return False
    return bool(found > value if op == "gt" else found < value)


def field_of(span: PlainSpan, key: str) -> Any:
    """Returns the value of a filter's key; None if it is missing."""
    own = {
        "span.name": span.name,
        "span.kind": KINDS[span.kind],
        "span.status": "error" if span.status == 2 else "ok",
        "span.duration_ms": max(0, span.end_ns - span.start_ns) / 1e6,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
    }
    if key in own:
        return own[key]
    if key.startswith("attributes."):
        return shown(span.attributes.get(key.removeprefix("attributes.")))
    if key.startswith("resource."):
        return shown(span.resource.get(key.removeprefix("resource.")))
    return shown(span.attributes.get(key))


def meets(span: PlainSpan, filters: Iterable[dict[str, Any]]) -> bool:
    return all(compared(field_of(span, one["key"]), one["op"], one["value"]) for one in filters)


def matching_traces(spans: Sequence[PlainSpan], filters: Sequence[dict[str, Any]]) -> set[str]:
    """Each filter is met by some span of the trace."""
    by_trace: dict[str, list[PlainSpan]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    return {
        trace_id
        for trace_id, found in by_trace.items()
        if all(any(meets(span, [one]) for span in found) for one in filters)
    }


def root_of(spans: Sequence[PlainSpan]) -> set[int]:
    """The spans that may be called the root: the earliest whose parent is absent."""
    known = {span.span for span in spans}
    orphans = [span for span in spans if span.parent is None or span.parent not in known] or list(spans)
    first = min(span.start_ns for span in orphans)
    earliest = [span for span in orphans if span.start_ns == first]
    return {span.span for span in earliest if span.parent is None} or {span.span for span in earliest}


def tokens_of(spans: Sequence[PlainSpan], key: str) -> int | None:
    """The sum of what the lowest spans of each branch say; None where no span says anything."""
    by_id = {span.span: span for span in spans}
    own = {span.span: span.attributes[key] for span in spans if key in span.attributes}
    counts = [tokens for span, tokens in own.items() if not any(_is_below(one, span, by_id) for one in own)]
    return min(sum(counts), 2**63 - 1) if own else None


def _is_below(span: int, other: int, by_id: dict[int, PlainSpan]) -> bool:
    """Whether `other` is above `span`. The earliest span of a circle of parents has none."""
    walked: list[int] = []
    at: int | None = _parent(span, by_id)
    while at is not None and at not in walked:
        if at == other:
            return span != other
        walked.append(at)
        at = _parent(at, by_id)
    return False


def _parent(span: int, by_id: dict[int, PlainSpan]) -> int | None:
    parent = by_id[span].parent
    if parent not in by_id or parent == span:
        return None
    circle, at = [span], parent
    while at in by_id and at not in circle:
        circle.append(at)
        at = by_id[at].parent
    if at != span:
        return parent
    first = min(circle, key=lambda one: (by_id[one].start_ns, one))
    return None if first == span else parent
