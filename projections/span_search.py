"""Finds spans that match filters: by the index of attribute pairs for equalities, otherwise row by row."""

from __future__ import annotations

from collections.abc import Sequence

from projections.attribute_pairs import fragments_of
from projections.filter_sql import Parameters, condition
from schemas.telemetry_query import AttributeFilter, SpanFilter

RECENT, STORED = "now.spans_recent", "now.spans_stored"

_COLUMNS = {
    "own": "s.attributes",
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
    """The selects of one statement from the rows `s` of `spans_recent` and of `spans_stored`. `since` is the
    earliest start time to search, in nanoseconds."""

    def __init__(
        self, filters: Sequence[SpanFilter], parameters: Parameters, since: int | None = None
    ) -> None:
        self._pairs: list[list[str]] = []
        self._rest: list[str] = []
        self._since = ""
        if since is not None:
            self._since = f"start_ns >= {parameters.add(since)}"
            self._rest.append(f"s.{self._since}")
        for one in filters:
            texts = _texts(one)
            if texts is not None:
                self._pairs.append([f"hash({parameters.add(text)}::VARCHAR)" for text in texts])
            else:
                self._rest.append(_condition(one, parameters))

    def recent(self, columns: str) -> str:
        """Returns a select of recent spans."""
        return f"SELECT {columns} FROM {RECENT} AS s WHERE {_all([*map(_any_in_list, self._pairs), *self._rest])}"

    def stored(self, columns: str, newest: int | None = None) -> str:
        """Returns a select of stored spans. `newest` limits it to about that many of the newest spans: if all
        filters are equalities, the index of pairs determines them without reading the spans."""
        found = []
        if self._pairs:
            hits = self._hits(None if self._rest else newest)
            found = [f"s.number IN ({hits})"]
        return f"SELECT {columns} FROM {STORED} AS s WHERE {_all([*found, *self._rest])}"

    @property
    def is_of_pairs(self) -> bool:
        """Returns whether the index of pairs answers all filters."""
        return bool(self._pairs) and not self._rest

    def newest_numbers(self, limit: int) -> str:
        """Returns a select of the numbers of at least the newest `limit` stored spans, if the index answers
        all filters."""
        return self._hits(limit)

    def _hits(self, newest: int | None) -> str:
        """Returns a select of the numbers of stored spans that have all pairs."""
        first, *others = self._pairs
        common = "".join(f" AND number IN ({self._numbers(pair)})" for pair in others)
        # A literal number instead of a parameter: see `spans.py`.
        end = "" if newest is None else f" ORDER BY start_ns DESC LIMIT {newest:d}"
        return " UNION ALL ".join(f"({one}{common}{end})" for one in self._each(first))

    def _numbers(self, pairs: Sequence[str]) -> str:
        return " UNION ALL ".join(self._each(pairs))

    def _each(self, pairs: Sequence[str]) -> list[str]:
        """Returns one select for each pair: the statistics of row groups cannot be used for a list of
        pairs."""
        since = f" AND {self._since}" if self._since else ""
        if not pairs:
            return ["SELECT number FROM now.span_pairs WHERE false"]
        return [f"SELECT number FROM now.span_pairs WHERE pair = {pair}{since}" for pair in pairs]


def _any_in_list(pairs: Sequence[str]) -> str:
    return " OR ".join([f"list_contains(s.pairs, {pair})" for pair in pairs]) or "false"


def is_looked_up(one: SpanFilter) -> bool:
    """Returns whether the index of pairs can answer the filter."""
    return _texts(one) is not None


def _texts(one: SpanFilter) -> list[str] | None:
    if isinstance(one, AttributeFilter) and one.of == "own" and one.op == "eq":
        return fragments_of(one.key, one.value)
    return None


def _condition(one: SpanFilter, parameters: Parameters) -> str:
    made = condition(one, _COLUMNS, parameters)
    if isinstance(one, AttributeFilter) and one.of == "resource":
        # There are few resources, and a column of their ids is searched faster than texts.
        return f"s.resource_id IN (SELECT r.resource_id FROM now.telemetry_resources AS r WHERE {made})"
    return made


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({one})" for one in conditions) or "true"
