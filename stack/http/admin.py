"""State and upkeep of a running server, for the commands on the same machine."""

from __future__ import annotations

from litestar import Controller, get, post
from litestar.response.base import ASGIResponse

from projections.engine import Engine
from stack.http.answer import json_answer
from stack.services.server_state import ServerState


class AdminController(Controller):
    path = "/admin"

    @get("/state")
    async def state(self, server: ServerState) -> ASGIResponse:
        return json_answer(await server.read())

    @post("/rebuild", status_code=200)
    async def rebuild(self, server: ServerState, engine: Engine) -> ASGIResponse:
        """Answers when the rebuilt view has taken over."""
        engine.rebuild()
        await engine.rebuilt()
        return json_answer(await server.read())
