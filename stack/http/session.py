"""Sessions over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from projections import session as session_views
from schemas.api.page import PaginatedResponse
from schemas.api.session import (
    AgentSessionCreateResponse,
    CreateAgentSessionRequest,
    ForkSessionRequest,
)
from stack.http.answer import TRUNCATED_HEADER, empty_answer, json_answer
from stack.http.as_of import as_of_in
from stack.http.body import caller_of, page_of, path_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.services import Services
from stack.services.requests.once import Prior


class SessionController(Controller):
    @serves("create_session")
    async def create(
        self,
        request: Request[Any, Any, Any],
        agent_id: str,
        services: Services,
    ) -> ASGIResponse:
        data, body = await read_json(request, CreateAgentSessionRequest)
        create = partial(services.sessions.create, agent_id, data.session_name, caller_of(request))
        made = await services.once.perform(post_of(request, body), create)
        session_id = made.ids["session"] if isinstance(made, Prior) else made
        return json_answer(AgentSessionCreateResponse(session_id))

    @serves("list_sessions")
    async def page(
        self,
        request: Request[Any, Any, Any],
        agent_id: str,
        services: Services,
    ) -> ASGIResponse:
        start, limit = page_of(request)
        as_of = await as_of_in(request, services)
        await services.states.agent_version(agent_id, as_of)
        data, has_more = await services.views.read(
            ("agent", "session"),
            session_views.page,
            agent_id,
            start,
            limit,
            as_of,
            services.settings.max_page_bytes,
        )
        return json_answer(PaginatedResponse(data, has_more, path_of(request)))

    @serves("get_session")
    async def show(
        self, request: Request[Any, Any, Any], agent_id: str, session_id: str, services: Services
    ) -> ASGIResponse:
        # The Python clients join a list with commas; generated ids contain none.
        given = request.query_params.getall("turn_ids", [])
        turn_ids = [turn_id for value in given for turn_id in value.split(",")] or None
        start, limit = page_of(request)
        as_of, max_bytes = await as_of_in(request, services), services.settings.max_page_bytes
        session, has_more = await services.sessions.show(
            agent_id, session_id, turn_ids, start, limit, max_bytes, as_of
        )
        return json_answer(session, {TRUNCATED_HEADER: "true"} if has_more else None)

    @serves("fork_session")
    async def fork(
        self, request: Request[Any, Any, Any], agent_id: str, session_id: str, services: Services
    ) -> ASGIResponse:
        data, body = await read_json(request, ForkSessionRequest)
        fork = partial(services.forks.fork, agent_id, session_id, data, caller_of(request))
        made = await services.once.perform(
            post_of(request, body), services.rates.for_models(fork) if data.continue_ else fork
        )
        fork_id = made.ids["session"] if isinstance(made, Prior) else made
        return json_answer(AgentSessionCreateResponse(fork_id))

    @serves("delete_session")
    async def remove(
        self, request: Request[Any, Any, Any], agent_id: str, session_id: str, services: Services
    ) -> ASGIResponse:
        await services.sessions.delete(agent_id, session_id, caller_of(request))
        return empty_answer()
