"""Traces, spans, metrics and logs over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from schemas.api.telemetry import (
    GetSpanTreeRequest,
    QueryLogsRequest,
    QueryMetricsRequest,
    QuerySpansRequest,
    QueryTracesRequest,
    SaveSpansToDatasetRequest,
)
from stack.errors import Invalid
from stack.http.answer import TRUNCATED_HEADER, empty_answer
from stack.http.body import caller_of, post_of, read_json, read_optional
from stack.http.endpoint import serves
from stack.http.path import id_of
from stack.http.services import Services
from stack.services.telemetry.telemetry import Answer


class TelemetryController(Controller):
    @serves("query_traces")
    async def traces(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        asked, _ = await read_optional(request, QueryTracesRequest)
        return _answer(await services.telemetry.traces(asked or QueryTracesRequest(), _details(request)))

    @serves("get_trace")
    async def trace(self, trace_id: str, services: Services) -> ASGIResponse:
        return _answer(await services.telemetry.trace(trace_id))

    @serves("list_trace_spans")
    async def trace_spans(self, trace_id: str, services: Services) -> ASGIResponse:
        return _answer(await services.telemetry.trace_spans(trace_id))

    @serves("get_trace_waterfall")
    async def waterfall(self, trace_id: str, services: Services) -> ASGIResponse:
        return _answer(await services.telemetry.waterfall(trace_id))

    @serves("get_span")
    async def span(self, trace_id: str, span_id: str, services: Services) -> ASGIResponse:
        return _answer(await services.telemetry.span(trace_id, span_id))

    @serves("get_span_tree")
    async def span_tree(
        self, request: Request[Any, Any, Any], span_id: str, services: Services
    ) -> ASGIResponse:
        asked, _ = await read_optional(request, GetSpanTreeRequest)
        return _answer(await services.telemetry.span_tree(span_id, asked or GetSpanTreeRequest()))

    @serves("query_spans")
    async def spans(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        asked, _ = await read_json(request, QuerySpansRequest)
        return _answer(await services.telemetry.spans(asked))

    @serves("export_spans")
    async def export(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        asked, body = await read_json(request, SaveSpansToDatasetRequest)
        export = partial(services.telemetry_export.export, asked, caller_of(request))
        await services.once.perform(post_of(request, body), export)
        return empty_answer()

    @serves("query_logs")
    async def logs(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        asked, _ = await read_optional(request, QueryLogsRequest)
        return _answer(await services.telemetry.logs(asked or QueryLogsRequest()))

    @serves("query_metrics")
    async def metrics(
        self, request: Request[Any, Any, Any], metric_name: str, services: Services
    ) -> ASGIResponse:
        asked, _ = await read_json(request, QueryMetricsRequest)
        return _answer(await services.telemetry.metrics(id_of(metric_name), asked))


def _answer(answer: Answer) -> ASGIResponse:
    headers = None if answer.complete else {TRUNCATED_HEADER: "true"}
    return ASGIResponse(body=answer.body, media_type="application/json", headers=headers)


def _details(request: Request[Any, Any, Any]) -> bool:
    asked = request.query_params.get("details", "false")
    if asked not in ("true", "false"):
        raise Invalid(f"details is {asked[:40]!r}; it must be true or false.")
    return bool(asked == "true")
