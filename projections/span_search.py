"""Where spans that meet filters are found: by the pairs of attributes where a filter is an equality, else row by row."""

from __future__ import annotations

from collections.abc import Sequence

from projections.attribute_pairs import pair_text
from projections.span_filter import Parameters, condition
from schemas.span_filter import AttributeFilter, SpanFilter

RECENT, STORED = "now.spans_recent", "now.spans_stored"

_COLUMNS = {
    "span": "s.attributes",
    "resource": "r.attributes",
    "name": "s.name",
    "trace_id": "s.trace_id",
    "span_id": "s.span_id",
    "start_time": "s.start_ns",
    "duration": "coalesce(s.end_ns - s.start_ns, 0)",
    "kind": "s.kind",
    "failed": "(s.status = 2)::INTEGER",
}


class Search:
    """The conditions of one statement on the rows `s` of `spans_recent` and of `spans_stored`. `since` is the earliest
    start that counts, in nanoseconds."""

    def __init__(
        self, filters: Sequence[SpanFilter], parameters: Parameters, since: int | None = None
    ) -> None:
        self._pairs: list[str] = []
        self._rest: list[str] = []
        self._since = ""
        if since is not None:
            self._since = f"start_ns >= {parameters.add(since)}"
            self._rest.append(f"s.{self._since}")
        for one in filters:
            pair = _pair(one)
            if pair is not None:
                self._pairs.append(f"hash({parameters.add(pair)}::VARCHAR)")
            else:
                self._rest.append(_condition(one, parameters))

    def recent(self) -> str:
        """For a WHERE over `spans_recent`."""
        return _all([*(f"list_contains(s.pairs, {pair})" for pair in self._pairs), *self._rest])

    def stored(self) -> str:
        """For a WHERE over `spans_stored`."""
        return _all([*(f"s.number IN ({self._numbers(pair)})" for pair in self._pairs), *self._rest])

    def newest_stored(self, limit: str) -> str:
        """As `stored`, for the newest `limit` (a placeholder) and perhaps more: of equalities alone the pairs tell
        which these are, without a look at the spans."""
        if not self._pairs or self._rest:
            return self.stored()
        first, *others = self._pairs
        common = "".join(f" AND number IN ({self._numbers(pair)})" for pair in others)
        return f"s.number IN ({self._numbers(first)}{common} ORDER BY start_ns DESC LIMIT {limit})"

    def _numbers(self, pair: str) -> str:
        since = f" AND {self._since}" if self._since else ""
        return f"SELECT number FROM now.span_pairs WHERE pair = {pair}{since}"


def is_looked_up(one: SpanFilter) -> bool:
    """Whether the pairs tell which spans meet it."""
    return _pair(one) is not None


def _pair(one: SpanFilter) -> str | None:
    if isinstance(one, AttributeFilter) and one.of == "span" and one.op == "eq":
        return pair_text(one.key, one.value)
    return None


def _condition(one: SpanFilter, parameters: Parameters) -> str:
    made = condition(one, _COLUMNS, parameters)
    if isinstance(one, AttributeFilter) and one.of == "resource":
        # There are few resources, and a column with their ids is searched faster than texts.
        return f"s.resource_id IN (SELECT r.resource_id FROM now.telemetry_resources AS r WHERE {made})"
    return made


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({one})" for one in conditions) or "true"
