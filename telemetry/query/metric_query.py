"""Parses a query of a metric: the period, the steps, the labels."""

from __future__ import annotations

import re

from msgspec import Struct

from schemas.api.telemetry import QueryMetricsRequest
from telemetry.query.errors import QueryInvalid
from telemetry.query.label_matcher import Matcher, matchers

MAX_NAME_CHARACTERS = 1_024
NS = 1_000_000_000
_LAST_S = 2**63 // NS - 1
_GRANULARITY = re.compile(r"([0-9]{1,10})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class MetricQuery(Struct, frozen=True, kw_only=True):
    """Selects points of the seconds `start_s` to `end_s`, both included. `step_s` is the length of a bucket;
    None returns the points as recorded. With `instant` the whole period is one bucket."""

    metric: str
    start_s: int
    end_s: int
    step_s: int | None
    instant: bool
    matchers: tuple[Matcher, ...]

    @property
    def begin_ns(self) -> int:
        return self.start_s * NS

    @property
    def until_ns(self) -> int:
        """The first nanosecond after the period."""
        return (self.end_s + 1) * NS


def metric_query(metric: str, request: QueryMetricsRequest, now_s: int) -> MetricQuery:
    """Parses the query. Raises QueryInvalid."""
    if not metric or len(metric) > MAX_NAME_CHARACTERS:
        raise QueryInvalid(
            f"metric_name has {len(metric)} characters; it must have 1 to {MAX_NAME_CHARACTERS}."
        )
    start_s = _second(request.start_time, "start_time")
    end_s = now_s if request.end_time is None else _second(request.end_time, "end_time")
    if end_s < start_s:
        absent = " (now, as it is absent)" if request.end_time is None else ""
        raise QueryInvalid(f"end_time is {end_s}{absent}, before start_time, which is {start_s}.")
    step_s = _step(request.granularity)
    return MetricQuery(
        metric=metric,
        start_s=start_s,
        end_s=end_s,
        step_s=step_s,
        instant=request.query_type == "instant",
        matchers=matchers(request.label_matchers),
    )


def _second(value: int, field: str) -> int:
    if not 0 <= value <= _LAST_S:
        hint = " Is it in milliseconds or nanoseconds?" if value > _LAST_S else ""
        raise QueryInvalid(
            f"{field} is {str(value)[:40]}; it is in seconds since 1970, 0 to {_LAST_S}.{hint}"
        )
    return value


def _step(granularity: str | None) -> int | None:
    if granularity is None:
        return None
    found = _GRANULARITY.fullmatch(granularity)
    if found is None or not int(found[1]):
        raise QueryInvalid(
            f"granularity is {granularity[:40]!r}; it is a number above 0 and one of s, m, h, d, such as 30s, 1m, 1h."
        )
    return min(int(found[1]) * _SECONDS[found[2]], _LAST_S)
