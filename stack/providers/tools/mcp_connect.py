"""How the server of a toolgroup is connected: by a process, or by HTTP.

Imports the SDK: import this module only in the thread of MCP clients.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
from anyio.abc import ObjectSendStream
from mcp.client.streamable_http import streamable_http_client
from mcp.types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from stack.providers.tools import mcp_http, mcp_stdio
from stack.providers.tools.mcp_http import Reach
from stack.providers.tools.mcp_lines import MAX_MESSAGE_BYTES, Needed
from stack.providers.tools.mcp_listing import repair
from stack.providers.tools.mcp_process import ServerProcess
from stack.providers.tools.mcp_session import Connect
from stack.providers.tools.mcp_stdio import Ending, Streams
from stack.providers.tools.settings import ToolGroupSettings


def by_process(settings: ToolGroupSettings) -> Connect:
    @asynccontextmanager
    async def connect(ending: Ending) -> AsyncIterator[Streams]:
        process = ServerProcess(settings.command, settings.env, settings.cwd)
        async with mcp_stdio.connected(process, ending) as streams:
            yield streams

    return connect


def by_http(
    url: str, headers: Mapping[str, str], reach: Reach, auth: Callable[[], httpx2.Auth | None] = lambda: None
) -> Connect:
    """`auth` returns the authorization for one connection."""

    @asynccontextmanager
    async def connect(ending: Ending) -> AsyncIterator[Streams]:
        incoming, from_server = anyio.create_memory_object_stream[Any](0)
        async with (
            mcp_http.client(reach, headers, auth()) as client,
            streamable_http_client(url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES) as (
                read,
                write,
            ),
            anyio.create_task_group() as tasks,
            incoming,
            from_server,
        ):
            tasks.start_soon(_select, read, incoming, ending)
            try:
                yield from_server, write  # type: ignore[misc]
            finally:
                tasks.cancel_scope.cancel()

    return connect


async def _select(read: Any, incoming: ObjectSendStream[Any], ending: Ending) -> None:
    """Passes the messages that the client needs, until the connection ends."""
    needed = Needed()
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with incoming:
            async for item in read:
                if isinstance(item, Exception) or not _is_needed(item.message, needed):
                    continue
                if isinstance(item.message, JSONRPCResponse):
                    repair(item.message.result)
                await incoming.send(item)
    ending.set("the connection was closed")


def _is_needed(message: object, needed: Needed) -> bool:
    if isinstance(message, JSONRPCRequest):
        return needed.wants(message.method, message.id)
    return not isinstance(message, JSONRPCNotification) or needed.wants(message.method, None)
