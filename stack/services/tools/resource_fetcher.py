"""Resources of MCP servers as content of turns: `mcp://<name>/<uri of the resource>` is read through the toolgroup
`mcp::<name>`."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from stack.errors import Invalid, UpstreamFailed, UpstreamTimeout
from stack.providers.fetch.port import Fetched, Fetcher
from stack.providers.tools.mcp_result import Part, text_of
from stack.providers.tools.registry import ToolGroups

SCHEME = "mcp://"
_HTML = ("text/html", "application/xhtml+xml")


@runtime_checkable
class _HasResources(Protocol):
    async def read_resource(self, uri: str, args: dict[str, object]) -> list[Part]: ...


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
                parts = await configured.group.read_resource(uri, {})
        except TimeoutError:
            raise UpstreamTimeout(f"{url[:200]} did not come within {timeout_s:g} s.") from None
        try:
            body, media_type = await asyncio.to_thread(_body, parts)
        except binascii.Error:
            raise UpstreamFailed(f"{url[:200]} is not base64.") from None
        if len(body) > max_bytes:
            raise Invalid(f"{url[:200]} has more than {max_bytes} bytes.")
        return Fetched(body, media_type, url)


def _body(parts: Sequence[Part]) -> tuple[bytes, str]:
    """Returns the content of a resource and its media type: HTML and binary data if it has one part, otherwise the text of
    its parts."""
    if len(parts) == 1:
        [part] = parts
        media_type = part.mime_type or ""
        if part.data is not None:
            return binascii.a2b_base64(part.data), media_type
        kind = media_type.partition(";")[0].strip().lower()
        if part.text is not None and kind in _HTML:
            return part.text.encode(), f"{kind}; charset=utf-8"
    return "\n".join(map(text_of, parts)).encode(), "text/plain"
