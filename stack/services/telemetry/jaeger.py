"""Answers Jaeger's query API from the store of telemetry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from projections import jaeger as views
from projections import spans as span_views
from projections.jaeger import Conditions, TraceKey
from projections.warehouse.snapshot import Snapshot
from schemas.api.jaeger import (
    DependencyLink,
    JaegerDependencies,
    JaegerEnvelope,
    JaegerError,
    JaegerNames,
    JaegerOperation,
    JaegerOperations,
    JaegerTrace,
    JaegerTraces,
)
from stack.errors import NotFound
from stack.services.telemetry import jaeger_form, span_reading
from stack.services.telemetry.telemetry import Answer, TelemetryService
from telemetry.query.jaeger_query import TraceSearch, Values, dependency_search, trace_number, trace_search
from telemetry.wire.decoded import ReadScope

MAX_SPANS = 10_000
"""Maximum number of spans in one answer."""
MAX_TEXT_BYTES = 16 * 2**20
"""Maximum size of the texts of the spans in one answer."""
_NOT_FOUND = "trace not found"

_encode = msgspec.json.Encoder().encode


class JaegerService:
    def __init__(self, telemetry: TelemetryService) -> None:
        self._telemetry = telemetry

    async def services(self) -> Answer:
        return await self._telemetry.read(lambda snapshot: _answer(JaegerNames, views.services(snapshot)))

    async def operation_names(self, service: str) -> Answer:
        def answer(snapshot: Snapshot) -> Answer:
            return _answer(
                JaegerNames, list(dict.fromkeys(name for name, _ in views.operations(snapshot, service)))
            )

        return await self._telemetry.read(answer)

    async def operations(self, service: str, kind: str) -> Answer:
        def answer(snapshot: Snapshot) -> Answer:
            return _answer(
                JaegerOperations, [JaegerOperation(*one) for one in views.operations(snapshot, service, kind)]
            )

        return await self._telemetry.read(answer)

    async def traces(self, values: Values) -> Answer:
        """Raises QueryInvalid."""
        search = trace_search(values, time.time_ns())
        asked = [UUID(int=one) for one in search.traces]

        def answer(snapshot: Snapshot) -> Answer:
            if search.traces:
                found = views.keys(snapshot, asked)
            else:
                found = views.matching(snapshot, _conditions(search), search.limit)
            read = _read(snapshot, found)
            missing = set(asked).difference(one.trace for one in found)
            errors = [JaegerError(code=404, msg=_NOT_FOUND, traceID=one.hex) for one in sorted(missing)]
            return _answer(JaegerTraces, read.traces, errors, complete=read.is_complete)

        return await self._telemetry.read(answer)

    async def trace(self, trace_id: str) -> Answer:
        """Raises QueryInvalid, NotFound."""
        trace = UUID(int=trace_number(trace_id))

        def answer(snapshot: Snapshot) -> Answer:
            found = span_reading.of_trace(snapshot, trace)
            if not found.rows:
                raise NotFound(_NOT_FOUND)
            details = span_views.details(snapshot, [row.number for row in found.rows])
            left_out = 0
            if not found.complete:
                left_out = sum([one.span_count for one in views.keys(snapshot, [trace])]) - len(found.rows)
            made = jaeger_form.trace(trace.hex, found.rows, details, left_out)
            return _answer(JaegerTraces, [made], complete=found.complete)

        return await self._telemetry.read_within(answer, ReadScope(trace=trace))

    async def dependencies(self, values: Values) -> Answer:
        """Raises QueryInvalid."""
        search = dependency_search(values, time.time_ns())

        def answer(snapshot: Snapshot) -> Answer:
            found = [DependencyLink(*one) for one in views.calls(snapshot, search.begin_ns, search.until_ns)]
            if search.service:
                found = [one for one in found if search.service in (one.parent, one.child)]
            return _answer(JaegerDependencies, found)

        return await self._telemetry.read(answer)


def _conditions(search: TraceSearch) -> Conditions:
    return Conditions(
        service=search.service,
        name=search.operation,
        tags=search.tags,
        begin_ns=search.begin_ns,
        until_ns=search.until_ns,
        least_ns=search.least_ns,
        most_ns=search.most_ns,
    )


class _Read(NamedTuple):
    traces: list[JaegerTrace]
    is_complete: bool


def _read(snapshot: Snapshot, wanted: Sequence[TraceKey]) -> _Read:
    """Returns the traces with their spans ordered by time, as many as fit. A trace that does not fit alone lacks its last
    spans."""
    kept: list[TraceKey] = []
    spans = 0
    for one in wanted:
        spans += one.span_count
        if kept and spans > MAX_SPANS:
            break
        kept.append(one)
    read = min(max(MAX_SPANS, spans), span_reading.MAX_LINKS)
    first = min([one.first_number for one in kept], default=0)
    found = span_views.keys(snapshot, [one.trace for one in kept], read, first)
    order = {one.trace: place for place, one in enumerate(kept)}
    found.sort(key=lambda key: (order[key.trace], key.start_ns, key.span))
    rows = span_views.numbered(snapshot, [key.number for key in found[:MAX_SPANS]])
    rows.sort(key=lambda row: (order[row.trace], row.start_ns, row.span))
    filled = span_views.fill(snapshot, rows, MAX_TEXT_BYTES)
    details = span_views.details(snapshot, [row.number for row in filled])
    by_trace: dict[UUID, list[Any]] = {}
    for row in filled:
        by_trace.setdefault(row.trace, []).append(row)
    traces = [
        jaeger_form.trace(
            one.trace.hex, by_trace[one.trace], details, one.span_count - len(by_trace[one.trace])
        )
        for one in kept
        if one.trace in by_trace
    ]
    is_complete = len(traces) == len(wanted) and len(filled) == sum([one.span_count for one in kept])
    return _Read(traces, is_complete)


def _answer(
    type: Callable[..., JaegerEnvelope],
    data: list[Any],
    errors: Iterable[JaegerError] = (),
    complete: bool = True,
) -> Answer:
    return Answer(_encode(type(data=data, total=len(data), errors=list(errors) or None)), complete)
