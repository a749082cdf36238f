"""Resources of MCP servers as content of turns: `mcp://<name>/<uri of the resource>` is read through the toolgroup
`mcp::<name>`."""

from __future__ import annotations

import asyncio
import base64
from typing import Protocol, runtime_checkable

from schemas.events.payload import Content
from stack.errors import Invalid, UpstreamTimeout
from stack.providers.fetch.port import Fetched, Fetcher
from stack.providers.tools.port import ToolResult
from stack.providers.tools.registry import ToolGroups

SCHEME = "mcp://"


@runtime_checkable
class _HasResources(Protocol):
    async def read_resource(self, uri: str, args: dict[str, object]) -> ToolResult: ...


class ResourceFetcher:
    """A fetcher that reads resources of MCP servers, and leaves all other URLs to another one."""

    def __init__(self, fetcher: Fetcher, toolgroups: ToolGroups) -> None:
        self._fetcher = fetcher
        self._toolgroups = toolgroups

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float, accept: str = "*/*") -> Fetched:
        """Raises the errors of `Fetcher.fetch`, and Invalid for a server that is not configured."""
        if not url.startswith(SCHEME):
            return await self._fetcher.fetch(url, max_bytes=max_bytes, timeout_s=timeout_s, accept=accept)
        name, _, uri = url.removeprefix(SCHEME).partition("/")
        configured = self._toolgroups.groups.get(f"mcp::{name}")
        if configured is None or not isinstance(configured.group, _HasResources) or not uri:
            raise Invalid(
                f"{url[:200]!r} is not a resource: write mcp://<name>/<uri> with the name of a toolgroup mcp::<name>."
            )
        try:
            async with asyncio.timeout(timeout_s):
                result = await configured.group.read_resource(uri, {})
        except TimeoutError:
            raise UpstreamTimeout(f"{url[:200]} did not come within {timeout_s:g} s.") from None
        body, media_type = _body(result.content)
        if len(body) > max_bytes:
            raise Invalid(f"{url[:200]} has more than {max_bytes} bytes.")
        return Fetched(body, media_type, url)


def _body(content: Content) -> tuple[bytes, str]:
    """Returns the text of a resource, or its image if it has no text."""
    if isinstance(content, str):
        return content.encode(), "text/plain"
    items = content if isinstance(content, list) else [content]
    text = "\n".join(item.text for item in items if item.text)
    image = next((item.image.data for item in items if item.image is not None and item.image.data), None)
    if text or image is None:
        return text.encode(), "text/plain"
    return base64.b64decode(image), "application/octet-stream"
