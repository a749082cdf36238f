"""Parses the query parameters of Jaeger's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from telemetry.query.errors import QueryInvalid

TRACES, MAX_TRACES = 100, 1_500
"""Number of traces that are returned if nothing else is asked for, and the most; a larger limit counts as this."""
MAX_TAGS = 32
MAX_TEXT = 4_096
DEPENDENCY_LOOKBACK_NS = 24 * 3_600_000_000_000

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(ns|us|µs|μs|ms|s|m|h|d|w)")
_WHOLE = re.compile(r"[0-9]{1,19}")
_ID = re.compile(r"[0-9a-fA-F]{1,32}")
_MAX_NS = 2**63 - 1

Values = Callable[[str], Sequence[str]]
"""Returns the values of a query parameter."""


class TraceSearch(Struct, frozen=True, kw_only=True):
    """Selects traces with a span that fulfils all conditions. Times are nanoseconds since 1970, durations nanoseconds;
    None means any. `traces` are asked for by the numbers of their ids instead."""

    service: str = ""
    operation: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    begin_ns: int | None = None
    until_ns: int | None = None
    least_ns: int | None = None
    most_ns: int | None = None
    limit: int = TRACES
    traces: tuple[int, ...] = ()


class DependencySearch(Struct, frozen=True):
    """A span of time, in nanoseconds since 1970; `service` is empty for all services."""

    begin_ns: int
    until_ns: int
    service: str = ""


def trace_search(values: Values, now_ns: int) -> TraceSearch:
    """Raises QueryInvalid."""
    traces = tuple(dict.fromkeys(trace_number(one) for one in values("traceID")))
    if len(traces) > MAX_TRACES:
        raise QueryInvalid(f"traceID is given {len(traces)} times; at most {MAX_TRACES}.")
    search = TraceSearch(
        service=_text(values, "service"),
        operation=_text(values, "operation"),
        tags=_tags(values),
        begin_ns=_time(values, "start", 1_000),
        until_ns=_time(values, "end", 1_000),
        least_ns=_duration(values, "minDuration"),
        most_ns=_duration(values, "maxDuration"),
        limit=_limit(_text(values, "limit")),
        traces=traces,
    )
    if not (traces or search.service):
        raise QueryInvalid("service is missing: name a service of /jaeger/api/services, or give a traceID.")
    if search.least_ns and search.most_ns and search.most_ns < search.least_ns:
        raise QueryInvalid("maxDuration is less than minDuration; it must be at least as long.")
    lookback = _text(values, "lookback")
    if search.begin_ns is None and lookback not in ("", "custom"):
        until = now_ns if search.until_ns is None else search.until_ns
        return msgspec.structs.replace(search, begin_ns=until - duration_ns(lookback, "lookback"))
    return search


def dependency_search(values: Values, now_ns: int) -> DependencySearch:
    """Raises QueryInvalid."""
    until = _time(values, "endTs", 1_000_000)
    lookback = _time(values, "lookback", 1_000_000)
    until = now_ns if until is None else until
    return DependencySearch(
        until - (DEPENDENCY_LOOKBACK_NS if lookback is None else lookback), until, _text(values, "service")
    )


def trace_number(text: str) -> int:
    """Returns the number of a trace id, of which leading zeros may be missing. Raises QueryInvalid."""
    if not _ID.fullmatch(text):
        raise QueryInvalid(f"{text[:60]!r} is not a trace id: it must be 1 to 32 hexadecimal digits.")
    return int(text, 16)


def duration_ns(text: str, name: str) -> int:
    """Returns a duration such as 1.5s, 100ms or 1h30m, in nanoseconds. Raises QueryInvalid."""
    found, at = 0.0, 0
    while at < len(text) <= 100 and (part := _PART.match(text, at)):
        found += float(part[1]) * _UNITS_NS[part[2]]
        at = part.end()
    if text == "0":
        return 0
    if not text or at < len(text) or found > _MAX_NS:
        raise QueryInvalid(
            f"{name} is {text[:60]!r}; it must be a number with a unit (ns, us, ms, s, m, h), such as 100ms or 1.5s."
        )
    return round(found)


def _duration(values: Values, name: str) -> int | None:
    text = _text(values, name)
    return duration_ns(text, name) if text else None


def _time(values: Values, name: str, unit_ns: int) -> int | None:
    text = _text(values, name)
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        unit = "microseconds" if unit_ns == 1_000 else "milliseconds"
        raise QueryInvalid(f"{name} is {text[:60]!r}; it must be a whole number of {unit}.")
    return min(int(text) * unit_ns, _MAX_NS)


def _limit(text: str) -> int:
    if not text:
        return TRACES
    if not _WHOLE.fullmatch(text) or int(text) == 0:
        raise QueryInvalid(f"limit is {text[:60]!r}; it must be a whole number of traces, 1 or more.")
    return min(int(text), MAX_TRACES)


def _text(values: Values, name: str) -> str:
    [*_, text] = ["", *values(name)]
    if len(text) > MAX_TEXT:
        raise QueryInvalid(f"{name} has {len(text)} characters; at most {MAX_TEXT}.")
    return text


def _tags(values: Values) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for one in values("tag"):
        key, colon, value = one.partition(":")
        if not (key and colon):
            raise QueryInvalid(f"tag is {one[:60]!r}; it must be key:value.")
        found[key] = value
    for one in values("tags"):
        if one:
            found |= _object(one)
    if kind := _text(values, "spanKind"):
        found["span.kind"] = kind
    if len(found) > MAX_TAGS:
        raise QueryInvalid(f"tags has {len(found)} entries; at most {MAX_TAGS}.")
    for key, value in found.items():
        if len(key) > MAX_TEXT or len(value) > MAX_TEXT:
            raise QueryInvalid(f"tags has a key or value of more than {MAX_TEXT} characters.")
    return tuple(found.items())


def _object(text: str) -> Mapping[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise QueryInvalid(
            f'tags is {text[:60]!r}; it must be a JSON object of strings, such as {{"http.status_code":"500"}}.'
        ) from None
