"""Agents over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from schemas.api.agent import (
    AgentCreateResponse,
    AgentUpdateResponse,
    CreateAgentRequest,
    UpdateAgentRequest,
)
from schemas.api.page import PaginatedResponse
from stack.errors import Invalid
from stack.http.answer import empty_answer, json_answer
from stack.http.as_of import as_of_in
from stack.http.body import caller_of, integer_of, page_of, path_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.services import Services
from stack.services.requests.once import Prior

VERSION_HEADER = "x-agent-version"


class AgentController(Controller):
    @serves("create_agent")
    async def create(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, body = await read_json(request, CreateAgentRequest)
        create = partial(services.agents.create, data.agent_config, caller_of(request))
        made = await services.once.perform(post_of(request, body), create)
        return json_answer(AgentCreateResponse(made.ids["agent"] if isinstance(made, Prior) else made))

    @serves("update_agent")
    async def update(
        self, request: Request[Any, Any, Any], agent_id: str, services: Services
    ) -> ASGIResponse:
        data, body = await read_json(request, UpdateAgentRequest)
        update = partial(services.agents.update, agent_id, data, caller_of(request))
        made = await services.once.perform(post_of(request, body), update)
        if isinstance(made, Prior):
            made = await services.agents.version_recorded_at(agent_id, made.position)
        return json_answer(AgentUpdateResponse(agent_id, made))

    @serves("list_agents")
    async def page(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        start, limit = page_of(request)
        data, has_more = await services.agents.page(
            start, limit, services.settings.max_page_bytes, await as_of_in(request, services)
        )
        return json_answer(PaginatedResponse(data, has_more, path_of(request)))

    @serves("get_agent")
    async def show(self, request: Request[Any, Any, Any], agent_id: str, services: Services) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        view = await services.agents.show(agent_id, version_of(request), as_of)
        return json_answer(view.agent, {VERSION_HEADER: str(view.version)})

    @serves("list_agent_versions")
    async def versions(
        self, request: Request[Any, Any, Any], agent_id: str, services: Services
    ) -> ASGIResponse:
        start, limit = page_of(request)
        data, has_more = await services.agents.versions(
            agent_id, start, limit, services.settings.max_page_bytes, await as_of_in(request, services)
        )
        return json_answer(PaginatedResponse(data, has_more, path_of(request)))

    @serves("delete_agent")
    async def remove(
        self, request: Request[Any, Any, Any], agent_id: str, services: Services
    ) -> ASGIResponse:
        await services.agents.delete(agent_id, caller_of(request))
        return empty_answer()


def version_of(request: Request[Any, Any, Any]) -> int:
    """Returns the version of the query, 0 if there is none. Raises Invalid."""
    version = integer_of(request, "version", 0)
    if version < 1 and "version" in request.query_params:
        raise Invalid(f"version is {version}; versions are counted from 1.")
    return version
