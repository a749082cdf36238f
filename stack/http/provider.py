"""Providers over HTTP (beside the contract): what serves the models, and how it is."""

from __future__ import annotations

from typing import Any

from litestar import Controller, get
from litestar.response.base import ASGIResponse

from schemas.api.provider import ListProvidersResponse, ProviderInfo
from stack.errors import NotFound
from stack.http.answer import json_answer
from stack.http.path import id_of
from stack.http.services import Services
from stack.providers.inference.registry import ProviderState
from stack.providers.inference.settings import shown_url


class ProviderController(Controller):
    path = "/providers"

    @get()
    async def listing(self, services: Services) -> ASGIResponse:
        return json_answer(ListProvidersResponse([_info(one) for one in await services.models.state()]))

    @get("/{provider_id:path}")
    async def show(self, provider_id: str, services: Services) -> ASGIResponse:
        name = id_of(provider_id)
        known = await services.models.state()
        for one in known:
            if one.id == name:
                return json_answer(_info(one))
        raise NotFound(f"There is no provider {name!r}. Providers: {', '.join(one.id for one in known)}.")


def _info(state: ProviderState) -> ProviderInfo:
    health: dict[str, Any] = {"status": "OK"} if state.reachable else {"status": "Error"}
    if state.detail:
        health["message"] = state.detail
    config: dict[str, Any] = {"origin": state.origin, "models": state.models}
    if state.base_url:
        config["base_url"] = shown_url(state.base_url)
    kind = "remote::openai-compatible" if state.base_url else "inline::demo"
    return ProviderInfo(
        api="inference", provider_id=state.id, provider_type=kind, config=config, health=health
    )
