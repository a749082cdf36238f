"""Text completions in OpenAI's format (not in the Llama Stack specification): passed through to the providers."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.types import ASGIApp

from stack.http.endpoint import serves
from stack.http.pass_through import passed_through
from stack.http.services import Services
from stack.services.inference.pass_through import COMPLETIONS


class CompletionController(Controller):
    @serves("create_completion", "create_openai_completion")
    async def create(self, request: Request[Any, Any, Any], services: Services) -> ASGIApp:
        return await passed_through(COMPLETIONS, request, services)
