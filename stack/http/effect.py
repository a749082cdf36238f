"""Effects of tools over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from schemas.api.effect import SettleEffectRequest
from schemas.api.page import PaginatedResponse
from stack.http.answer import json_answer
from stack.http.body import caller_of, page_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.services import Services
from stack.services.requests.once import Prior


class EffectController(Controller):
    @serves("list_effects")
    async def page(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        start, limit = page_of(request)
        status = request.query_params.get("status", "")
        data, more = await services.effects.page(status, start, limit, services.settings.max_page_bytes)
        return json_answer(PaginatedResponse(data, more, request.url.path))

    @serves("get_effect")
    async def show(self, effect_key: str, services: Services) -> ASGIResponse:
        return json_answer(await services.effects.show(effect_key))

    @serves("settle_effect")
    async def settle(
        self, request: Request[Any, Any, Any], effect_key: str, services: Services
    ) -> ASGIResponse:
        data, body = await read_json(request, SettleEffectRequest)
        settle = partial(services.effects.settle, effect_key, data, caller_of(request))
        settled = await services.once.perform(post_of(request, body), settle)
        if isinstance(settled, Prior):
            settled = await services.effects.show(effect_key)
        return json_answer(settled)
