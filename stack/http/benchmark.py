"""Benchmarks over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from projections import benchmark as benchmark_views
from schemas.api.benchmark import ListBenchmarksResponse, RegisterBenchmarkRequest
from stack.http.answer import empty_answer, json_answer
from stack.http.as_of import as_of_in
from stack.http.benchmark_path import id_in
from stack.http.body import caller_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.services import Services


class BenchmarkController(Controller):
    @serves("list_benchmarks")
    async def listing(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        listed = await services.views.read(("benchmark",), benchmark_views.listing, as_of)
        return json_answer(ListBenchmarksResponse(listed))

    @serves("register_benchmark")
    async def register(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, body = await read_json(request, RegisterBenchmarkRequest)
        register = partial(services.benchmarks.register, data, caller_of(request))
        await services.once.perform(post_of(request, body), register)
        return empty_answer()

    @serves("get_benchmark")
    async def show(
        self, request: Request[Any, Any, Any], benchmark_id: str, services: Services
    ) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        return json_answer(await services.benchmarks.show(id_in(benchmark_id), as_of))

    @serves("unregister_benchmark")
    async def unregister(
        self, request: Request[Any, Any, Any], benchmark_id: str, services: Services
    ) -> ASGIResponse:
        await services.benchmarks.unregister(id_in(benchmark_id), caller_of(request))
        return empty_answer()
