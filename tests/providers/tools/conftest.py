"""Toolgroups of MCP servers that run in processes of their own, started once for the tests of a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from stack.providers.retrieval.collections import Collections
from stack.providers.tools.port import Answer, Suspended, ToolRequest, ToolResult
from stack.providers.tools.registry import ToolGroups
from stack.providers.tools.settings import ToolGroupSettings
from tests.providers.retrieval.embedders import NoEmbeddings
from tests.servers.processes import ROOT, RunningServer, running

T = TypeVar("T")

KEY = "5" * 64


class Group:
    """One toolgroup; its methods block."""

    def __init__(self, settings: ToolGroupSettings, folder: Path | None = None) -> None:
        self._runner = asyncio.Runner()
        self._groups = self.run(self._open(settings, folder))
        self.port: Any = self._groups.groups[settings.id].group

    async def _open(self, settings: ToolGroupSettings, folder: Path | None) -> ToolGroups:
        collections = Collections([], NoEmbeddings(), Path())
        return ToolGroups([settings], collections, 4096, folder)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asyncio.wait_for(work, 60))

    def tools(self, **args: Any) -> dict[str, Any]:
        return {tool.name: tool for tool in self.run(self.port.tools(args))}

    def call(
        self, tool: str, state: str | None = None, answer: Answer | None = None, **arguments: Any
    ) -> Any:
        request = ToolRequest(tool=tool, arguments=arguments, key=KEY, state=state, answer=answer)
        return self.run(self.port.call(request))

    def text(self, tool: str, **arguments: Any) -> str:
        result = self.call(tool, **arguments)
        assert isinstance(result, ToolResult) and isinstance(result.content, str), result
        return result.content

    def asked(self, tool: str, **arguments: Any) -> Suspended:
        suspended = self.call(tool, **arguments)
        assert isinstance(suspended, Suspended) and suspended.question is not None, suspended
        return suspended

    def close(self) -> None:
        self.run(self._groups.aclose())
        self._runner.close()


Open = Callable[..., Group]


@pytest.fixture(scope="module")
def open_group() -> Iterator[Open]:
    """Opens groups, which are closed after the tests of the file."""
    opened: list[Group] = []

    def open_one(folder: Path | None = None, **settings: Any) -> Group:
        opened.append(Group(ToolGroupSettings(id="mcp::test", **settings), folder))
        return opened[-1]

    yield open_one
    for group in opened:
        group.close()


def module(name: str, *options: str) -> dict[str, Any]:
    """Returns the settings of a server of `tests/servers`."""
    return {"command": [sys.executable, "-m", f"tests.servers.{name}", *options], "cwd": str(ROOT)}


@pytest.fixture(scope="session")
def http_server() -> Iterator[RunningServer]:
    with running("tests.servers.mcp_tools") as server:
        yield server
