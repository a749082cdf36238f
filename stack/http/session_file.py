"""Recorded sessions over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.session_file import FoundSession
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.services import Services


class SessionFileController(Controller):
    @serves("find_session")
    async def find(self, session_id: str, services: Services) -> ASGIResponse:
        found = await services.states.any_session(session_id)
        return json_answer(FoundSession(session_id, found.session_name, found.agent_id))
