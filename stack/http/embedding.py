"""Embeddings in OpenAI's format (not in the Llama Stack specification): passed through to the providers."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.types import ASGIApp

from stack.http.endpoint import serves
from stack.http.pass_through import passed_through
from stack.http.services import Services
from stack.services.inference.pass_through import EMBEDDINGS


class EmbeddingController(Controller):
    @serves("create_embeddings", "create_openai_embeddings")
    async def create(self, request: Request[Any, Any, Any], services: Services) -> ASGIApp:
        return await passed_through(EMBEDDINGS, request, services)
