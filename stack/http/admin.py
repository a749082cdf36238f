"""State and maintenance of a running server, for the commands on the same machine."""

from __future__ import annotations

from litestar import Controller, get, post
from litestar.response.base import ASGIResponse

from stack.http.answer import json_answer
from stack.http.services import Services


class AdminController(Controller):
    path = "/admin"

    @get("/state")
    async def state(self, services: Services) -> ASGIResponse:
        return json_answer(await services.server_state.read())

    @post("/rebuild", status_code=200)
    async def rebuild(self, services: Services) -> ASGIResponse:
        """Responds after the rebuilt view has replaced the old one."""
        services.engine.rebuild()
        await services.engine.rebuilt()
        return json_answer(await services.server_state.read())
