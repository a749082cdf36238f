"""Queries for Jaeger's API: services, their operations, traces with a span that fulfils several conditions, and calls between
services. Services and operations are those of the newest spans, so that they cost the same however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from projections.attribute_pairs import fragments_of
from projections.filter_sql import Parameters, condition
from projections.span_search import RECENT, STORED
from projections.time_windows import SPANS, windows
from projections.warehouse.snapshot import Snapshot
from schemas.telemetry_query import AttributeFilter

NO_SERVICE = "OTLPResourceNoServiceName"
"""The name that Jaeger gives to the service of spans without one."""
NEWEST_SPANS = 1_000_000
"""About so many of the newest spans are searched for services and operations."""
CALLING_SPANS = 250_000
"""About so many of the newest spans are searched for calls between services."""
MAX_NAMES = 10_000

_SERVICE = f"coalesce(nullif(json_extract_string(r.attributes, '/service.name'), ''), '{NO_SERVICE}')"
_FEW = 64
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES = {"UNSET": 0, "OK": 1, "ERROR": 2}


class Conditions(Struct, frozen=True, kw_only=True):
    """Conditions that one span of a trace must fulfil; empty or None means any. Times are nanoseconds since 1970. `tags` are
    attributes of the span or of its resource, compared as text."""

    service: str = ""
    name: str = ""
    tags: Sequence[tuple[str, str]] = ()
    begin_ns: int | None = None
    until_ns: int | None = None
    least_ns: int | None = None
    most_ns: int | None = None


class TraceKey(Struct, frozen=True):
    """A trace. None of its spans has a number below `first_number`."""

    trace: UUID
    start_ns: int
    span_count: int
    first_number: int


def services(snapshot: Snapshot) -> list[str]:
    """Returns the services that sent spans, in order."""
    since = _newest(snapshot, NEWEST_SPANS)
    sql = f"""SELECT DISTINCT {_SERVICE} AS service FROM now.telemetry_resources AS r WHERE r.resource_id IN
        (SELECT resource_id FROM {RECENT} UNION ALL SELECT resource_id FROM {STORED} WHERE start_ns >= $since)
        ORDER BY service LIMIT {MAX_NAMES}"""
    return [service for (service,) in snapshot.rows(sql, {"since": since})]


def operations(snapshot: Snapshot, service: str, kind: str = "") -> list[tuple[str, str]]:
    """Returns the names of the spans of a service, each with its kind (empty if it is unspecified), in order."""
    resources = _resources_of(snapshot, service)
    if not resources or kind not in ("", *_KINDS[1:]):
        return []
    since = _newest(snapshot, NEWEST_SPANS)
    where = _is_one_of("resource_id", resources) + (f" AND kind = {_KINDS.index(kind)}" if kind else "")
    sql = f"""SELECT DISTINCT name, kind FROM (
            SELECT name, kind FROM {RECENT} WHERE {where}
            UNION ALL
            SELECT name, kind FROM {STORED} WHERE {where} AND start_ns >= $since
        ) ORDER BY name, kind LIMIT {MAX_NAMES}"""
    found = snapshot.rows(sql, {"since": since})
    return [(name, _KINDS[number] if 0 < number < len(_KINDS) else "") for name, number in found]


def matching(snapshot: Snapshot, conditions: Conditions, limit: int) -> list[TraceKey]:
    """Returns the traces with the newest spans that fulfil all conditions, the newest trace first."""
    made = _made(snapshot, conditions)
    if made is None:
        return []
    found: list[UUID] = []
    low, high = conditions.begin_ns, conditions.until_ns
    for since in windows(snapshot, _within(low, high)):
        beginning = low if since is None else since
        found = [trace for trace, _ in made.newest_traces(snapshot, beginning, high, limit)]
        if len(found) >= limit:
            break
    return keys(snapshot, found)


def keys(snapshot: Snapshot, traces: Iterable[UUID]) -> list[TraceKey]:
    """Returns those of the traces that exist, the newest first."""
    sql = """SELECT t.trace_id, t.start_ns, t.span_count, t.first_number FROM now.traces AS t
        WHERE t.trace_id IN (SELECT unnest($traces::UUID[])) ORDER BY t.start_ns DESC, t.trace_id"""
    return [TraceKey(*row) for row in snapshot.rows(sql, {"traces": list(traces)})]


def calls(snapshot: Snapshot, begin_ns: int, until_ns: int) -> list[tuple[str, str, int]]:
    """Returns the service of the parent, that of the child, and how many such spans began in this time: of about the newest
    `CALLING_SPANS`."""
    begin = max(begin_ns, _newest(snapshot, CALLING_SPANS, until_ns))
    columns = "trace_id, span_id, parent_span_id, resource_id"
    sql = f"""WITH spans AS MATERIALIZED (
            SELECT {columns} FROM {RECENT} WHERE start_ns BETWEEN $begin AND $until
            UNION ALL
            SELECT {columns} FROM {STORED} WHERE start_ns BETWEEN $begin AND $until
        ), called AS (
            SELECT parent.resource_id AS parent, child.resource_id AS child, count(*) AS calls
            FROM spans AS child JOIN spans AS parent
                ON child.trace_id = parent.trace_id AND child.parent_span_id = parent.span_id
            WHERE child.resource_id <> parent.resource_id
            GROUP BY ALL
        ), services AS (
            SELECT r.resource_id, {_SERVICE} AS service FROM now.telemetry_resources AS r
        )
        SELECT p.service, c.service, sum(calls)::BIGINT
        FROM called
        JOIN services AS p ON p.resource_id = called.parent
        JOIN services AS c ON c.resource_id = called.child
        WHERE p.service <> c.service
        GROUP BY ALL ORDER BY ALL LIMIT {MAX_NAMES}"""
    rows = snapshot.rows(sql, {"begin": begin, "until": until_ns})
    return [(parent, child, count) for parent, child, count in rows]


class _Made(Struct, frozen=True):
    """Conditions as SQL. `of_pairs` are pairs of tags: each a list of hashes, and the condition that fulfils the tag as well;
    empty if there is none."""

    parameters: Parameters
    rest: list[str]
    of_pairs: list[tuple[list[str], str]]

    def newest_traces(
        self, snapshot: Snapshot, begin_ns: int | None, until_ns: int | None, limit: int
    ) -> list[tuple[UUID, int]]:
        low, high = _bounds(begin_ns, until_ns)
        # Literal numbers, by which parts of the tables are passed over.
        time = f"start_ns BETWEEN {low:d} AND {high:d}"
        recent = [_any([*[f"list_contains(s.pairs, {one})" for one in pairs], or_])
                  for pairs, or_ in self.of_pairs]  # fmt: skip
        stored = [_any([_numbers(pairs, time) if pairs else "", or_]) for pairs, or_ in self.of_pairs]
        selects = [
            f"SELECT s.trace_id, s.start_ns FROM {table} AS s WHERE {' AND '.join([f's.{time}', *self.rest, *tags])}"
            for table, tags in ((RECENT, recent), (STORED, stored))
        ]
        sql = f"""SELECT trace_id, max(start_ns) AS newest FROM ({" UNION ALL ".join(selects)})
            GROUP BY trace_id ORDER BY newest DESC, trace_id LIMIT {limit:d}"""
        return [(trace, newest) for trace, newest in snapshot.rows(sql, self.parameters.values)]


def _made(snapshot: Snapshot, conditions: Conditions) -> _Made | None:
    """Returns None if no span can fulfil the conditions."""
    parameters = Parameters()
    rest: list[str] = []
    if conditions.service:
        resources = _resources_of(snapshot, conditions.service)
        if not resources:
            return None
        rest.append(f"s.{_is_one_of('resource_id', resources)}")
    if conditions.name:
        rest.append(f"s.name = {parameters.add(conditions.name)}")
    duration = "coalesce(s.end_ns - s.start_ns, 0)"
    if conditions.least_ns is not None:
        rest.append(f"{duration} >= {conditions.least_ns:d}")
    if conditions.most_ns is not None:
        rest.append(f"{duration} <= {conditions.most_ns:d}")
    of_pairs: list[tuple[list[str], str]] = []
    for key, text in conditions.tags:
        field = _field(key, text)
        if field:
            rest.append(field)
            continue
        values = _values(text)
        fragments = dict.fromkeys(one for value in values for one in fragments_of(key, value) or ())
        pairs = [f"hash({parameters.add(fragment)}::VARCHAR)" for fragment in fragments]
        resources = _resources_with(snapshot, key, values)
        or_ = f"s.{_is_one_of('resource_id', resources)}" if resources else ""
        if not (pairs or or_):
            return None
        of_pairs.append((pairs, or_))
    return _Made(parameters, rest, of_pairs)


def _field(key: str, text: str) -> str:
    """Returns the condition of a tag that represents a field of the span; empty for any other."""
    lower = text.lower()
    if key == "error" and lower in ("true", "false"):
        return f"(s.status = 2) = {lower}"
    if key == "span.kind" and lower in _KINDS:
        return f"s.kind = {_KINDS.index(lower)}"
    if key == "otel.status_code" and text.upper() in _STATUSES:
        return f"s.status = {_STATUSES[text.upper()]}"
    return ""


def _values(text: str) -> list[str | bool | int | float]:
    """Returns the values that a tag shows as this text."""
    found: list[str | bool | int | float] = [text]
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return found
    if isinstance(value, bool | int | float):
        found.append(value)
    return found


def _resources_of(snapshot: Snapshot, service: str) -> list[int]:
    sql = f"SELECT r.resource_id FROM now.telemetry_resources AS r WHERE {_SERVICE} = $service"
    return [resource for (resource,) in snapshot.rows(sql, {"service": service})]


def _resources_with(snapshot: Snapshot, key: str, values: Iterable[str | bool | int | float]) -> list[int]:
    parameters = Parameters()
    columns = {"resource": "r.attributes"}
    any_of = [condition(AttributeFilter("resource", key, "eq", one), columns, parameters) for one in values]
    sql = f"SELECT r.resource_id FROM now.telemetry_resources AS r WHERE {_any(any_of)}"
    return [resource for (resource,) in snapshot.rows(sql, parameters.values)]


def _is_one_of(column: str, numbers: Sequence[int]) -> str:
    if len(numbers) <= _FEW:
        return f"{column} IN ({', '.join([format(number, 'd') for number in numbers])})"
    return (
        f"{column} IN (SELECT unnest([{', '.join([format(number, 'd') for number in numbers])}]::UBIGINT[]))"
    )


def _numbers(pairs: Sequence[str], time: str) -> str:
    selects = [f"SELECT number FROM now.span_pairs WHERE pair = {pair} AND {time}" for pair in pairs]
    return f"s.number IN ({' UNION ALL '.join(selects)})"


def _any(conditions: Sequence[str]) -> str:
    return f"({' OR '.join([one for one in conditions if one]) or 'false'})"


def _newest(snapshot: Snapshot, spans: int, until_ns: int | None = None) -> int:
    """Returns a time since which about so many spans began."""
    [(first, last, count)] = snapshot.rows(_within(None, until_ns), {})
    if first is None or not count:
        return 0
    return int(last - (last - first) * spans // count) if count > spans else int(first)


def _within(begin_ns: int | None, until_ns: int | None) -> str:
    """Returns the select of the first and last time of the traces that began in this time, and the number of their spans."""
    if begin_ns is None and until_ns is None:
        return SPANS
    low, high = _bounds(begin_ns, until_ns)
    return f"{SPANS} WHERE start_ns BETWEEN {low:d} AND {high:d}"


def _bounds(begin_ns: int | None, until_ns: int | None) -> tuple[int, int]:
    least, most = -(2**63), 2**63 - 1
    low = least if begin_ns is None else max(least, min(begin_ns, most))
    return low, most if until_ns is None else max(least, min(until_ns, most))
