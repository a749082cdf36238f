"""All toolgroups of this server: those of the settings, and the builtin ones that need none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from stack.providers.retrieval.port import CollectionSearch
from stack.providers.tools.code.interpreter import CodeInterpreter
from stack.providers.tools.mcp_group import McpToolGroup, load_sdk
from stack.providers.tools.mcp_loop import McpLoop
from stack.providers.tools.port import ToolGroup
from stack.providers.tools.rag import Rag
from stack.providers.tools.settings import CODE_INTERPRETER, RAG, WEB_SEARCH, ToolGroupSettings
from stack.providers.tools.web_search import WebSearch

WITHOUT_SETTINGS = (CODE_INTERPRETER, RAG)
"""Groups that exist if no setting mentions them."""


class Configured(Struct, frozen=True):
    """A toolgroup with its settings. `slots` limits the calls that run at the same time."""

    group: ToolGroup
    settings: ToolGroupSettings
    slots: asyncio.Semaphore


class ToolGroups:
    """`groups` holds the toolgroups by id. `search` is for `builtin::rag`, whose results have at most
    `max_retrieved_tokens`. `folder` is the data folder."""

    def __init__(
        self,
        settings: Sequence[ToolGroupSettings],
        search: CollectionSearch,
        max_retrieved_tokens: int,
        folder: Path | None = None,
    ) -> None:
        self._search = search
        self._max_retrieved_tokens = max_retrieved_tokens
        self._folder = folder
        self._mcp_loop = McpLoop()
        configured = {one.id for one in settings}
        always = [ToolGroupSettings(id=name) for name in WITHOUT_SETTINGS if name not in configured]
        usable = [one for one in settings if one.id != WEB_SEARCH or one.api_key]
        self.groups = {
            one.id: Configured(self._open(one), one, asyncio.Semaphore(one.max_concurrent))
            for one in (*usable, *always)
        }

    async def prepare(self) -> None:
        """Imports what MCP servers need, in their thread, so that the first turn with one does not have to wait."""
        if any(isinstance(one.group, McpToolGroup) for one in self.groups.values()):
            await self._mcp_loop.run(load_sdk)

    def check_args(self, name: str, args: Mapping[str, Any]) -> None:
        """Raises Invalid for args of a group (`group`, or `group/tool`) that are wrong, as far as this is known without
        asking a server."""
        known = self.groups.get(name.partition("/")[0])
        if known is not None and isinstance(known.group, Rag):
            known.group.check(args)

    def problems(self) -> list[str]:
        """Returns what does not work at the MCP servers that have been used, for people."""
        groups = [one.group for one in self.groups.values()]
        return [problem for one in groups if isinstance(one, McpToolGroup) for problem in one.problems()]

    async def aclose(self) -> None:
        await asyncio.gather(*(one.group.aclose() for one in self.groups.values()))
        await self._mcp_loop.aclose()

    def _open(self, settings: ToolGroupSettings) -> ToolGroup:
        if settings.id.startswith("mcp::"):
            return McpToolGroup(settings, self._mcp_loop, self._folder)
        if settings.id == CODE_INTERPRETER:
            return CodeInterpreter(settings)
        if settings.id == WEB_SEARCH:
            return WebSearch(settings)
        if settings.id == RAG:
            return Rag(settings, self._search, self._max_retrieved_tokens)
        raise ValueError(f"{settings.id}: there is no toolgroup of this kind.")
