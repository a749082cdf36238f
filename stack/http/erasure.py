"""Receipts of deletions over HTTP."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of
from stack.http.services import Services


class ErasureController(Controller):
    @serves("get_erasure")
    async def show(self, erased_id: str, services: Services) -> ASGIResponse:
        return json_answer(await services.erasures.receipt(id_of(erased_id)))
