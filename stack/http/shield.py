"""Shields over HTTP (not part of the Llama Stack specification; existing clients call it)."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.shield import ListShieldsResponse
from stack.errors import NotFound, NotOffered
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of

REMEDY = "Shields are not registered at run time, and this server has none: leave them out of the agent."


class ShieldController(Controller):
    @serves("list_shields")
    async def listing(self) -> ASGIResponse:
        return json_answer(ListShieldsResponse([]))

    @serves("get_shield")
    async def show(self, identifier: str) -> ASGIResponse:
        raise NotFound(f"There is no shield {id_of(identifier)!r}; this server has none.")

    @serves("register_shield")
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @serves("unregister_shield")
    async def unregister(self, identifier: str) -> ASGIResponse:
        raise NotOffered(REMEDY)
