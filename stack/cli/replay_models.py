"""The models and tools that a run of a recorded session may use: those of a server, or of the settings."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import msgspec

from stack.cli.connection import Connection
from stack.errors import Invalid, UpstreamFailed
from stack.providers.inference.port import InferenceProvider
from stack.providers.inference.registry import Models
from stack.providers.inference.settings import InferenceSettings
from stack.providers.tools.port import ToolResult
from stack.settings import Settings

SERVER = "server"


class LiveModels:
    """`server` is the server whose models and tools are used; without one, the models of `settings` are."""

    def __init__(self, server: Connection | None, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self._models: Models | None = None

    async def find(self, model: str) -> tuple[InferenceProvider, str]:
        """Returns the provider of a model, and its name for the provider. Raises Invalid for an unknown model."""
        if self._models is None:
            self._models = self._open()
        if self._server is not None:
            return await self._models.resolve(f"{SERVER}/{model}")
        return await self._models.resolve(model)

    async def agent(self, agent_id: str, version: int = 0) -> dict[str, Any]:
        """Returns the configuration of an agent of the server, the newest by default. Raises Invalid without a server,
        AnswerError."""
        server = self._required("An agent")
        path = f"/v1alpha/agents/{quote(agent_id, safe='')}{f'?version={version}' if version else ''}"
        found: dict[str, Any] = await asyncio.to_thread(server.ask, "GET", path)
        return dict(found["agent_config"])

    async def call_tool(self, name: str, arguments: str) -> ToolResult:
        """Calls a tool of the server. Raises UpstreamFailed, AnswerError."""
        server = self._required("A live tool")
        body = {"tool_name": name, "kwargs": msgspec.json.decode(arguments)}
        found = await asyncio.to_thread(server.ask, "POST", "/v1/tool-runtime/invoke", body)
        if found.get("error_message"):
            return ToolResult(content=str(found["error_message"]), is_error=True)
        if "content" not in found:
            raise UpstreamFailed(f"The tool {name!r} returned nothing.")
        return ToolResult(content=found["content"])

    async def score(self, function: str, answer: str, expected: str) -> float:
        """Returns the score of an answer by a function of the server. Raises Invalid without a server, AnswerError."""
        server = self._required("A scoring function")
        row = {"generated_answer": answer, "expected_answer": expected, "input_query": ""}
        body = {"input_rows": [row], "scoring_functions": {function: None}}
        found = await asyncio.to_thread(server.ask, "POST", "/v1/scoring/score", body)
        return float(found["results"][function]["score_rows"][0]["score"])

    async def aclose(self) -> None:
        if self._models is not None:
            await self._models.aclose()

    def _required(self, what: str) -> Connection:
        if self._server is None:
            raise Invalid(f"{what} needs a server: name one with --url.")
        return self._server

    def _open(self) -> Models:
        if self._server is not None:
            own = InferenceSettings(
                id=SERVER,
                base_url=f"{self._server.url}/v1",
                api_key=self._server.token or None,
                flavour="vllm",
            )
            return Models([own], discovery=False)
        return Models(
            self._settings.inference,
            openai_base_url=self._settings.openai_base_url,
            openai_api_key=self._settings.openai_api_key,
            discovery=self._settings.discover_models,
        )
