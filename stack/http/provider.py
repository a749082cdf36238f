"""Providers over HTTP (not part of the contract): the provider of each API, and its health."""

from __future__ import annotations

from typing import Any

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.provider import ListProvidersResponse, ProviderInfo
from stack.errors import NotFound
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of
from stack.http.services import Services
from stack.providers.inference.registry import ProviderState
from stack.providers.inference.settings import shown_url
from stack.providers.rerank.port import Reranker

OWN = "replaystack"


class ProviderController(Controller):
    @serves("list_providers")
    async def listing(self, services: Services) -> ASGIResponse:
        return json_answer(ListProvidersResponse(await _providers(services)))

    @serves("get_provider")
    async def show(self, provider_id: str, services: Services) -> ASGIResponse:
        name = id_of(provider_id)
        known = await _providers(services)
        for one in known:
            if one.provider_id == name:
                return json_answer(one)
        ids = ", ".join(dict.fromkeys(one.provider_id for one in known))
        raise NotFound(f"There is no provider {name!r}. Providers: {ids}.")


async def _providers(services: Services) -> list[ProviderInfo]:
    """Returns the providers of all APIs; model servers are first."""
    scoring = dict.fromkeys(function.provider_id for function in services.scoring.functions())
    return [
        *(_info(one) for one in await services.models.state()),
        *(_reranker(one) for one in services.reranking.rerankers.rerankers.values()),
        _embedded("agents", OWN),
        _embedded("datasetio", "localfs"),
        _embedded("datasetio", "huggingface", "remote"),
        _embedded("eval", OWN),
        *(_embedded("safety", one) for one in services.safety.kinds),
        *(_embedded("scoring", one) for one in scoring),
        _embedded("telemetry", OWN),
    ]


def _embedded(api: str, provider_id: str, place: str = "inline") -> ProviderInfo:
    kind = f"{place}::{provider_id}"
    return ProviderInfo(
        api=api, provider_id=provider_id, provider_type=kind, config={}, health={"status": "OK"}
    )


def _reranker(reranker: Reranker) -> ProviderInfo:
    if not reranker.base_url:
        return _embedded("inference", reranker.id)
    return ProviderInfo(
        api="inference",
        provider_id=reranker.id,
        provider_type="remote::rerank",
        config={"base_url": shown_url(reranker.base_url)},
        health={"status": "Not Implemented", "message": "A reranker is not asked before it is used."},
    )


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
