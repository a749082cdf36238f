"""Comparison of two jobs of a benchmark over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from stack.errors import Invalid
from stack.http.answer import json_answer
from stack.http.as_of import as_of_in
from stack.http.benchmark_path import id_in
from stack.http.body import integer_of
from stack.http.endpoint import serves
from stack.http.services import Services

ROWS = 100
MAX_ROWS = 10_000


class ComparisonController(Controller):
    @serves("compare_jobs")
    async def compare(
        self, request: Request[Any, Any, Any], benchmark_id: str, services: Services
    ) -> ASGIResponse:
        job_a, job_b = (_job(request, name) for name in ("a", "b"))
        limit = integer_of(request, "limit", ROWS)
        if not 0 <= limit <= MAX_ROWS:
            raise Invalid(f"limit is {limit}; it must be between 0 and {MAX_ROWS}.")
        as_of = await as_of_in(request, services)
        compared = await services.comparisons.compare(id_in(benchmark_id), job_a, job_b, limit, as_of)
        return json_answer(compared)


def _job(request: Request[Any, Any, Any], name: str) -> str:
    job_id: str = request.query_params.get(name, "")
    if not job_id:
        raise Invalid(f"{name} is missing; name the two jobs to compare, as in ?a=0&b=1.")
    return job_id
