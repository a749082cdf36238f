"""The tools as an MCP server, with the official SDK, for either transport.

Imports the SDK, which takes a second: import this module where a server is needed, and not in the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

from stack.services.assistant.api import Api, Refused
from stack.services.assistant.tools import INSTRUCTIONS, TOOLS, Tool, call, schema_of
from stack.version import VERSION

Context = ServerRequestContext[Any]

MAX_ERROR_CHARACTERS = 4_000

_READS = types.ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def new_server(api_for: Callable[[Context], Api]) -> Server[Any]:
    """Returns a server whose tools call the API that `api_for` returns for a request."""
    listed = [_listed(tool) for tool in TOOLS.values()]
    schemas = {tool.name: tool.input_schema for tool in listed}

    async def list_tools(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            result = await call(api_for(context), params.name, params.arguments or {})
        except Refused as refusal:
            return types.CallToolResult(
                content=[types.TextContent(text=str(refusal)[:MAX_ERROR_CHARACTERS])], is_error=True
            )
        content = msgspec.to_builtins(result.content)
        text = result.text or msgspec.json.encode(result.content).decode()
        return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=content)

    server: Server[Any] = Server(
        "replaystack",
        version=VERSION,
        title="Replaystack",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=schemas.get,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    # Reading what was recorded must not be recorded.
    server.middleware.clear()
    return server


def _listed(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schema_of(tool.arguments),
        output_schema=schema_of(tool.answer),
        annotations=_READS,
    )
