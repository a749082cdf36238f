"""Reranking over HTTP."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from schemas.api.rerank import RerankRequest
from stack.http.answer import json_answer
from stack.http.body import read_json
from stack.http.endpoint import serves
from stack.http.leaving import until_disconnected
from stack.http.services import Services


class RerankController(Controller):
    @serves("rerank")
    async def rerank(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, _ = await read_json(request, RerankRequest)
        services.rates.require_tokens()
        return json_answer(await until_disconnected(services.reranking.rerank(data), request.receive))
