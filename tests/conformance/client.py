"""The client that the conformance suite of MCP runs: `python -m tests.conformance.client URL`.

It uses a toolgroup as a turn does: lists its tools, calls each of them, and accepts what it is asked. The suite names the
scenario and gives credentials in variables of the environment. Exits with 1 if something fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from mcp.shared.auth import AuthorizationCodeResult

from stack.providers.tools.mcp_client import McpClient
from stack.providers.tools.mcp_group import Endpoint, new_client
from stack.providers.tools.port import Answer, Suspended, ToolRequest, ToolResult
from stack.providers.tools.settings import OAuthSettings, ToolGroupSettings

VALUES = {"string": "text", "integer": 3, "number": 2.5, "boolean": True, "array": [], "object": {}}
# The address of this client's metadata, for servers that need no registration.
METADATA_URL = "https://conformance-test.local/client-metadata.json"


async def visited(url: str) -> AuthorizationCodeResult:
    """Authorizes at once, as the suite's server does for any visitor."""
    async with httpx.AsyncClient(follow_redirects=False) as client:
        answer = await client.get(url)
    given = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    return AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss"))


async def oauth(scenario: str, context: dict[str, Any], url: str) -> OAuthSettings | None:
    if not scenario.startswith("auth/"):
        return None
    if scenario == "auth/client-credentials-basic":
        return OAuthSettings(
            grant="client_credentials",
            client_id=context["client_id"],
            client_secret=context["client_secret"],
            issuer=await issuer(url),
        )
    return OAuthSettings(
        grant="authorization_code",
        client_id=context.get("client_id", METADATA_URL if "cimd" in scenario else None),
        client_secret=context.get("client_secret"),
    )


async def issuer(url: str) -> str:
    """Returns the authorization server that the MCP server names; an operator would know it."""
    parts = urlsplit(url)
    async with httpx.AsyncClient() as client:
        where = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource"
        for one in (where + parts.path, where):
            answer = await client.get(one)
            if answer.status_code == 200:
                return str(answer.json()["authorization_servers"][0])
    raise LookupError(f"{url} names no authorization server")


def arguments(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Returns arguments that match a simple schema."""
    found = {}
    for name, of_one in schema.get("properties", {}).items():
        kind = of_one.get("type", "string")
        found[name] = of_one.get("enum", [VALUES[kind if isinstance(kind, str) else kind[0]]])[0]
    return found | given


async def call(client: McpClient, tool: str, given: dict[str, Any]) -> None:
    state: str | None = None
    answer: Answer | None = None
    while True:
        request = ToolRequest(tool=tool, arguments=given, key="0" * 64, state=state, answer=answer)
        result = await client.call(request)
        if isinstance(result, ToolResult):
            print(tool, result.is_error, str(result.content)[:300])
            return
        assert isinstance(result, Suspended) and result.question is not None
        wanted = result.question.request.get("requestedSchema", {})
        without_default = {
            name: of_one for name, of_one in wanted.get("properties", {}).items() if "default" not in of_one
        }
        content = arguments({"properties": without_default}, {})
        state, answer = result.state, Answer(action="accept", content=content)


async def main(url: str) -> None:
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    settings = ToolGroupSettings(
        id="mcp::conformance",
        url=url,
        repeatable=["*"],
        timeout_s=20,
        oauth=await oauth(scenario, context, url),
    )
    calls = context.get("toolCalls")
    with tempfile.TemporaryDirectory() as folder:
        client = new_client(settings, Endpoint(url), Path(folder), visited)
        try:
            tools = (await client.tools()).tools
            print(sorted(tools), client.problems())
            for wanted in calls or [{"name": name, "arguments": {}} for name in tools]:
                schema = tools[wanted["name"]].input_schema if wanted["name"] in tools else {}
                given = wanted["arguments"] if calls else arguments(schema, {})
                await call(client, wanted["name"], given)
        finally:
            await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
