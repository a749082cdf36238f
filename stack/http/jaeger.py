"""Jaeger's query API over HTTP, for Grafana and Jaeger's page (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from stack.errors import Invalid
from stack.http.answer import TRUNCATED_HEADER
from stack.http.endpoint import serves
from stack.http.path import part_of
from stack.http.services import Services
from stack.services.telemetry.telemetry import Answer
from telemetry.query.jaeger_query import Values


class JaegerController(Controller):
    @serves("list_jaeger_services")
    async def services(self, services: Services) -> ASGIResponse:
        return _answer(await services.jaeger.services())

    @serves("list_jaeger_service_operations")
    async def operation_names(self, service: str, services: Services) -> ASGIResponse:
        return _answer(await services.jaeger.operation_names(part_of(service)))

    @serves("list_jaeger_operations")
    async def operations(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        service = request.query_params.get("service", "")
        if not service:
            raise Invalid("service is missing: name a service of /jaeger/api/services.")
        return _answer(await services.jaeger.operations(service, request.query_params.get("spanKind", "")))

    @serves("search_jaeger_traces")
    async def traces(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        return _answer(await services.jaeger.traces(_values(request)))

    @serves("get_jaeger_trace")
    async def trace(self, trace_id: str, services: Services) -> ASGIResponse:
        return _answer(await services.jaeger.trace(trace_id))

    @serves("list_jaeger_dependencies")
    async def calls(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        return _answer(await services.jaeger.dependencies(_values(request)))


def _values(request: Request[Any, Any, Any]) -> Values:
    given = request.query_params
    return lambda name: given.getall(name, [])


def _answer(answer: Answer) -> ASGIResponse:
    headers = None if answer.complete else {TRUNCATED_HEADER: "true"}
    return ASGIResponse(body=answer.body, media_type="application/json", headers=headers)
