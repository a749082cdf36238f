"""Serves the tools for assistants on standard input and output, by requests to a server."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

import httpx2
from mcp.server.stdio import stdio_server

from stack.cli.target import target
from stack.config import ConfigError
from stack.errors import ReplaystackError
from stack.services.assistant.api import Answered, Api, Call, Refused, answered, body_of
from stack.services.assistant.mcp_server import new_server

TIMEOUT_S = 3600.0
"""The server's own limits apply first."""


async def serve(options: dict[str, Any]) -> None:
    """Serves until the input ends."""
    logging.basicConfig(level=logging.CRITICAL)
    async with httpx2.AsyncClient(timeout=httpx2.Timeout(TIMEOUT_S, connect=30), trust_env=False) as client:
        api = _api(client, options)
        server = new_server(lambda _: api)
        async with stdio_server() as (received, sent):
            await server.run(received, sent, server.create_initialization_options())


def _api(client: httpx2.AsyncClient, options: dict[str, Any]) -> Api:
    async def asked(call: Call) -> Answered:
        # For every request: the server may have been started again, at another address.
        try:
            server = target(options)
        except (ReplaystackError, ConfigError) as error:
            raise Refused(getattr(error, "detail", str(error))) from None
        headers = {"content-type": "application/json"}
        if server.token:
            headers["authorization"] = f"Bearer {server.token}"
        try:
            answer = await client.request(
                call.method,
                server.url + quote(call.path),
                params=dict(call.query),
                content=body_of(call),
                headers=headers,
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Refused(
                f"The server at {server.url} does not answer: {error or type(error).__name__}. Start it with "
                "`replaystack serve`, or check --url."
            ) from None
        return answered(answer.status_code, answer.headers, answer.content)

    return asked
