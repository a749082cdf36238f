"""Shields over HTTP (not part of the Llama Stack specification; existing clients call it)."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.shield import ListShieldsResponse
from stack.errors import NotOffered
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of
from stack.http.services import Services

REMEDY = "Shields are not registered at run time: add a [[shields]] table to the settings."


class ShieldController(Controller):
    @serves("list_shields")
    async def listing(self, services: Services) -> ASGIResponse:
        return json_answer(ListShieldsResponse(services.safety.list()))

    @serves("get_shield")
    async def show(self, identifier: str, services: Services) -> ASGIResponse:
        return json_answer(services.safety.show(id_of(identifier)))

    @serves("register_shield")
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @serves("unregister_shield")
    async def unregister(self, identifier: str) -> ASGIResponse:
        raise NotOffered(REMEDY)
