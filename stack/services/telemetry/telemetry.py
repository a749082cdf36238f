"""The telemetry queries: traces, spans, metrics and logs, including everything that was acknowledged
before."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from projections import log_records
from projections import spans as span_views
from projections import traces as trace_views
from projections.warehouse.errors import OutOfMemory, ViewBehind
from projections.warehouse.instance import Warehouse
from projections.warehouse.snapshot import Snapshot
from projections.waterfall import waterfall
from schemas.api.telemetry import (
    GetSpanTreeRequest,
    QueryLogsRequest,
    QueryLogsResponse,
    QueryMetricsRequest,
    QueryMetricsResponse,
    QuerySpansRequest,
    QuerySpansResponse,
    QuerySpanTreeResponse,
    QueryTracesRequest,
    QueryTracesResponse,
    TraceDetailsResponse,
    TraceSpansResponse,
)
from stack.domain.near import nearest
from stack.errors import Invalid, NotFound, Unavailable
from stack.services.telemetry import metric_reading, span_answers, span_reading
from telemetry.query.log_filter import log_query
from telemetry.query.metric_query import metric_query
from telemetry.query.parse_filters import parse_filters
from telemetry.query.span_query import checked_depth, trace_query, wanted_attributes
from telemetry.wire.decoded import ReadScope

P = ParamSpec("P")
T = TypeVar("T")

READERS = 2
MAX_LOGS = 10_000
"""Maximum number of log records in one response, even if all are requested."""

_encode = msgspec.json.Encoder().encode
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")


class Answer(Struct, frozen=True):
    """A JSON body, encoded in the reader's thread because it may be large. `complete` is false if data was
    left out."""

    body: bytes
    complete: bool = True


UpToDate = Callable[[ReadScope | None], Awaitable[None]]
"""Returns when the store contains everything that was acknowledged before and that the server has recorded
about itself, or everything in the scope; the server's own counts only for a scope with metrics. Raises
ViewBehind."""


class TelemetryService:
    """`max_spans` is the maximum number of spans that a query returns."""

    def __init__(self, warehouse: Warehouse, up_to_date: UpToDate, max_spans: int) -> None:
        self._warehouse = warehouse
        self._up_to_date = up_to_date
        self._max_spans = max_spans
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="telemetry")

    async def traces(self, request: QueryTracesRequest, details: bool = False) -> Answer:
        """Raises QueryInvalid."""
        query = trace_query(request, nearest)

        def answer(snapshot: Snapshot) -> Answer:
            rows, complete = span_reading.traces(snapshot, query)
            if details:
                services = trace_views.services(snapshot, [row.resource_id for row in rows])
                data = [span_answers.trace_details(row, services) for row in rows]
                return Answer(_encode(TraceDetailsResponse(data)), complete)
            return Answer(_encode(QueryTracesResponse([span_answers.trace(row) for row in rows])), complete)

        return await self.read(answer)

    async def trace(self, trace_id: str) -> Answer:
        """Raises NotFound."""
        trace = _trace(trace_id)

        def answer(snapshot: Snapshot) -> Answer:
            row = trace_views.one(snapshot, trace)
            if row is None:
                raise _no_trace(trace_id)
            return Answer(_encode(span_answers.trace(row)))

        return await self.read_within(answer, ReadScope(trace=trace))

    async def trace_spans(self, trace_id: str) -> Answer:
        """Returns all details of the spans of a trace. Raises NotFound."""
        trace = _trace(trace_id)

        def answer(snapshot: Snapshot) -> Answer:
            found = span_reading.of_trace(snapshot, trace)
            if not found.rows:
                raise _no_trace(trace_id)
            more = span_views.details(snapshot, [row.number for row in found.rows])
            data = [span_answers.span_details(row, more[row.number]) for row in found.rows]
            row = trace_views.one(snapshot, trace)
            tokens = (row.input_tokens, row.output_tokens) if row is not None else (None, None)
            return Answer(_encode(TraceSpansResponse(data, *tokens)), found.complete)

        return await self.read_within(answer, ReadScope(trace=trace))

    async def waterfall(self, trace_id: str) -> Answer:
        """Returns the spans of a trace in columns. Raises NotFound."""
        trace = _trace(trace_id)

        def answer(snapshot: Snapshot) -> Answer:
            found = waterfall(snapshot, trace)
            if found is None:
                raise _no_trace(trace_id)
            return Answer(_encode(found), not found.truncated)

        return await self.read_within(answer, ReadScope(trace=trace))

    async def span(self, trace_id: str, span_id: str) -> Answer:
        """Raises NotFound."""
        trace = _trace(trace_id)
        number = _number(span_id, _SPAN_ID)

        def answer(snapshot: Snapshot) -> Answer:
            row = None if number is None else span_views.one(snapshot, trace, number)
            if row is None:
                raise NotFound(f"There is no span {span_id[:80]!r} in trace {trace_id[:80]!r}.")
            span_views.fill(snapshot, [row], span_reading.MAX_ANSWER_BYTES)
            return Answer(_encode(span_answers.span(row)))

        return await self.read_within(answer, ReadScope(trace=trace))

    async def span_tree(self, span_id: str, request: GetSpanTreeRequest) -> Answer:
        """Raises QueryInvalid, NotFound."""
        max_depth = checked_depth(request.max_depth)
        wanted = wanted_attributes(request.attributes_to_return, "attributes_to_return")
        number = _number(span_id, _SPAN_ID)

        def trace_of(snapshot: Snapshot) -> UUID:
            trace = None if number is None else span_views.newest_trace_with(snapshot, number)
            if trace is None:
                raise NotFound(f"There is no span {span_id[:80]!r}; a span id is 16 hexadecimal digits.")
            return trace

        # Spans that are about to be stored must be included, and only the stored ones determine the trace.
        trace = await self.read_within(trace_of, ReadScope(span=number))

        def answer(snapshot: Snapshot) -> Answer:
            found = span_reading.tree(snapshot, trace, number or 0, max_depth)
            data = {row.span_id: span_answers.span_with_status(row, wanted) for row in found.rows}
            return Answer(_encode(QuerySpanTreeResponse(data)), found.complete)

        return await self.read_within(answer, ReadScope(trace=trace))

    async def spans(self, request: QuerySpansRequest) -> Answer:
        """Raises QueryInvalid."""
        filters = parse_filters(request.attribute_filters)
        max_depth = checked_depth(request.max_depth)
        wanted = wanted_attributes(request.attributes_to_return, "attributes_to_return")

        def answer(snapshot: Snapshot) -> Answer:
            found = span_reading.newest(snapshot, filters, max_depth, self._max_spans)
            data = [span_answers.span(row, wanted) for row in found.rows]
            return Answer(_encode(QuerySpansResponse(data)), found.complete)

        return await self.read(answer)

    async def logs(self, request: QueryLogsRequest) -> Answer:
        """Raises QueryInvalid."""
        query = log_query(request)
        limit = MAX_LOGS if query.limit is None else min(query.limit, MAX_LOGS)

        def answer(snapshot: Snapshot) -> Answer:
            rows, complete = log_records.found(snapshot, query, limit, span_reading.MAX_ANSWER_BYTES)
            return Answer(
                _encode(QueryLogsResponse([span_answers.log_record(row) for row in rows])), complete
            )

        return await self.read(answer)

    async def metrics(self, metric_name: str, request: QueryMetricsRequest) -> Answer:
        """Raises QueryInvalid."""
        query = metric_query(metric_name, request, int(time.time()))

        def answer(snapshot: Snapshot) -> Answer:
            return Answer(_encode(QueryMetricsResponse(metric_reading.read(snapshot, query))))

        return await self.read_within(answer, ReadScope(metrics=True))

    async def read(
        self, query: Callable[Concatenate[Snapshot, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns the result of a blocking query, executed in a thread, including all acknowledged data.
        Raises its errors, and Unavailable if the store does not catch up in time or is being rebuilt."""
        return await self.read_within(lambda snapshot: query(snapshot, *args, **kwargs))

    async def read_within(
        self,
        query: Callable[[Snapshot], T],
        scope: ReadScope | None = None,
    ) -> T:
        """Like `read`, including all acknowledged data in the scope."""

        def run() -> T:
            with self._warehouse.snapshot() as snapshot:
                return query(snapshot)

        try:
            await self._up_to_date(scope)
            return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except ViewBehind as error:
            raise Unavailable(f"Telemetry is not available yet: {error} Try again.", retry_after=2) from error
        except OutOfMemory:
            raise Invalid(
                "To answer this takes more memory than database_memory_bytes allows: ask with fewer filters, or for less."
            ) from None

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)


def _number(text: str, form: re.Pattern[str]) -> int | None:
    """Returns the number of an id; None if it is not an id."""
    lower = text.lower()
    return int(lower, 16) if form.fullmatch(lower) else None


def _trace(trace_id: str) -> UUID:
    """Raises NotFound for text that is not an id."""
    number = _number(trace_id, _TRACE_ID)
    if number is None:
        raise _no_trace(trace_id)
    return UUID(int=number)


def _no_trace(trace_id: str) -> NotFound:
    return NotFound(f"There is no trace {trace_id[:80]!r}; a trace id is 32 hexadecimal digits.")
