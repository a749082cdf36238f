"""Models over HTTP (beside the contract: existing clients ask for them)."""

from __future__ import annotations

from litestar import Controller, get
from litestar.response.base import ASGIResponse

from schemas.api.model import ListModelsResponse
from stack.http.answer import json_answer
from stack.providers.inference.registry import Models


class ModelController(Controller):
    path = "/models"

    @get()
    async def listing(self, models: Models) -> ASGIResponse:
        return json_answer(ListModelsResponse(await models.list()))
