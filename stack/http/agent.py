"""Agents over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from projections import agent as agent_views
from schemas.api.agent import AgentCreateResponse, CreateAgentRequest
from schemas.api.page import PaginatedResponse
from stack.http.answer import empty_answer, json_answer
from stack.http.body import caller_of, page_of, path_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.services import Services
from stack.services.requests.once import Prior


class AgentController(Controller):
    @serves("create_agent")
    async def create(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, body = await read_json(request, CreateAgentRequest)
        create = partial(services.agents.create, data.agent_config, caller_of(request))
        made = await services.once.perform(post_of(request, body), create)
        return json_answer(AgentCreateResponse(made.ids["agent"] if isinstance(made, Prior) else made))

    @serves("list_agents")
    async def page(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        start, limit = page_of(request)
        data, has_more = await services.views.read(
            ("agent",), agent_views.page, start, limit, max_bytes=services.settings.max_page_bytes
        )
        return json_answer(PaginatedResponse(data, has_more, path_of(request)))

    @serves("get_agent")
    async def show(self, agent_id: str, services: Services) -> ASGIResponse:
        return json_answer(await services.agents.show(agent_id))

    @serves("delete_agent")
    async def remove(
        self, request: Request[Any, Any, Any], agent_id: str, services: Services
    ) -> ASGIResponse:
        await services.agents.delete(agent_id, caller_of(request))
        return empty_answer()
