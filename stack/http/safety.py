"""Running shields directly, over HTTP (not part of the Llama Stack specification; existing clients call it)."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from schemas.api.safety import ModerationRequest, RunShieldRequest
from stack.http.answer import json_answer
from stack.http.body import read_json
from stack.http.endpoint import serves
from stack.http.leaving import until_disconnected
from stack.http.services import Services


class SafetyController(Controller):
    @serves("run_shield")
    async def run(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, _ = await read_json(request, RunShieldRequest)
        if services.safety.asks_model(data.shield_id):
            services.rates.require_tokens()
        return json_answer(await until_disconnected(services.safety.run(data), request.receive))

    @serves("create_moderation", "create_openai_moderation")
    async def moderate(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, _ = await read_json(request, ModerationRequest)
        if services.safety.asks_model(data.model):
            services.rates.require_tokens()
        return json_answer(await until_disconnected(services.safety.moderate(data), request.receive))
