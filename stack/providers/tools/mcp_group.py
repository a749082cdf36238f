"""A toolgroup `mcp::<name>`: the tools of one MCP server, a process or a URL.

The server is started, or connected, when its tools are first needed.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from stack.errors import Invalid
from stack.gc_tuning import freeze_imported
from stack.providers.fetch.target import parse
from stack.providers.tools.mcp_loop import McpLoop
from stack.providers.tools.mcp_result import Part
from stack.providers.tools.port import Suspended, ToolDefinition, ToolRequest, ToolResult
from stack.providers.tools.settings import ToolGroupSettings

if TYPE_CHECKING:
    from httpx2 import Auth

    from stack.providers.tools.mcp_client import McpClient
    from stack.providers.tools.mcp_oauth import Visit

T = TypeVar("T")

MAX_CLIENTS = 16
"""Connections with different `args`; the one that was not used for the longest time is closed for another."""


class Endpoint(Struct, frozen=True):
    """A server and the headers of its requests. `trusted` means that the URL is from the settings."""

    url: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    trusted: bool = True


class McpToolGroup:
    """See `port.ToolGroup`. `args` are `url` and `headers`, as far as the settings allow them. `folder` is the data
    folder, for tokens; without one they are kept in memory."""

    provider_id = "model-context-protocol"

    def __init__(self, settings: ToolGroupSettings, loop: McpLoop, folder: Path | None) -> None:
        self.id = settings.id
        self._settings = settings
        self._loop = loop
        self._folder = folder
        self._clients: OrderedDict[Endpoint, McpClient] = OrderedDict()

    async def tools(self, args: Mapping[str, Any]) -> Sequence[ToolDefinition]:
        listing = await self._run(args, lambda client: client.tools())
        return list(listing.tools.values())

    async def call(self, request: ToolRequest) -> ToolResult | Suspended:
        return await self._run(request.args, lambda client: client.call(request))

    async def read_resource(self, uri: str, args: Mapping[str, Any]) -> list[Part]:
        """Returns the contents of a resource of the server. Raises UpstreamFailed and UpstreamTimeout."""
        return await self._run(args, lambda client: client.read_resource(uri))

    def problems(self) -> list[str]:
        """Returns what does not work, for people: the failure of a connection, tools that are not offered."""
        return [problem for client in list(self._clients.values()) for problem in client.problems()]

    async def aclose(self) -> None:
        if self._clients:
            await self._loop.run(self._close)

    async def _close(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    async def _run(self, args: Mapping[str, Any], work: Callable[[McpClient], Coroutine[Any, Any, T]]) -> T:
        endpoint = self._endpoint(args)

        async def run() -> T:
            return await work(await self._client(endpoint))

        return await self._loop.run(run)

    async def _client(self, endpoint: Endpoint) -> McpClient:
        """Called in the loop of MCP clients."""
        client = self._clients.get(endpoint)
        if client is not None:
            self._clients.move_to_end(endpoint)
            return client
        await load_sdk()
        unused = self._take_unused() if len(self._clients) >= MAX_CLIENTS else None
        client = self._clients[endpoint] = new_client(self._settings, endpoint, self._folder)
        if unused is not None:
            await unused.aclose()
        return client

    def _take_unused(self) -> McpClient:
        """Raises Invalid if all clients are in use."""
        unused = next((one for one, client in self._clients.items() if not client.busy), None)
        if unused is None:
            raise Invalid(f"{self.id}: more than {MAX_CLIENTS} different args are in use at the same time.")
        return self._clients.pop(unused)

    def _endpoint(self, args: Mapping[str, Any]) -> Endpoint:
        """Raises Invalid for `args` that the settings do not allow."""
        allowed = self._settings.args_may_set
        unknown = sorted(set(args) - set(allowed))
        if unknown:
            raise Invalid(
                f"The toolgroup {self.id!r} does not take the argument {unknown[0][:100]!r} in `args`: "
                + (
                    f"it takes {', '.join(allowed)}."
                    if allowed
                    else "its server is configured in the settings."
                )
            )
        headers = args.get("headers") or {}
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            raise Invalid(f"{self.id}: args.headers must be an object of strings.")
        given = tuple(sorted((str(name).lower(), value) for name, value in headers.items()))
        for name, value in given:
            if not name.isascii() or not name.replace("-", "").isalnum() or not value.isprintable():
                raise Invalid(
                    f"{self.id}: args.headers: {name[:100]!r} is not a header with a printable value."
                )
        url = args.get("url")
        if url is None:
            if self._settings.url is None and not self._settings.command:
                raise Invalid(f"{self.id}: args.url is missing; the settings name no server.")
            return Endpoint(self._settings.url, given)
        if not isinstance(url, str):
            raise Invalid(f"{self.id}: args.url must be text.")
        parse(url, frozenset((443,)))
        return Endpoint(url, given, trusted=False)


async def load_sdk() -> None:
    """Imports the SDK, in the thread of MCP clients: 2 s, in which the main loop is delayed by up to 0.1 s."""
    if "mcp" not in sys.modules:
        importlib.import_module("stack.providers.tools.mcp_client")
        freeze_imported()


def new_client(
    settings: ToolGroupSettings, endpoint: Endpoint, folder: Path | None, visit: Visit | None = None
) -> McpClient:
    """Called in the thread of MCP clients, or in a command, because it imports the SDK. `visit` is as in `mcp_oauth`."""
    from stack.providers.tools.mcp_client import McpClient
    from stack.providers.tools.mcp_connect import by_http, by_process
    from stack.providers.tools.mcp_http import Reach, origin_of
    from stack.providers.tools.mcp_oauth import TokenFile, auth_for

    where = f"The MCP server of {settings.id}"
    if endpoint.url is None:
        return McpClient(where, settings, by_process(settings))
    if not endpoint.trusted:
        # Headers and tokens of the settings are for the server of the settings only.
        return McpClient(where, settings, by_http(endpoint.url, dict(endpoint.headers), Reach()))
    url, oauth = endpoint.url, settings.oauth
    headers = {name.lower(): value for name, value in settings.headers.items()} | dict(endpoint.headers)
    trusted = [url, oauth.issuer] if oauth is not None and oauth.issuer is not None else [url]

    def auth() -> Auth | None:
        if oauth is None:
            return None
        return auth_for(settings.id, url, oauth, TokenFile(folder, url, oauth), visit)

    reach = Reach(trusted=frozenset(map(origin_of, trusted)))
    return McpClient(where, settings, by_http(url, headers, reach, auth))
