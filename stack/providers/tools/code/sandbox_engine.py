"""The second engine of the code interpreter: the Python of a virtual environment, in a sandbox."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from schemas.events.payload import ContentItem, ImageSource
from stack.providers.tools.code.bubblewrap import TMP_BYTES, SandboxUnavailable, command
from stack.providers.tools.code.sandbox_worker import execute
from stack.providers.tools.code.task import Limits, Task
from stack.providers.tools.code.workers import CodeWorkers
from stack.providers.tools.port import ToolRequest, ToolResult

logger = logging.getLogger("replaystack.tools")

MAX_PACKAGES = 60
_PROBE = Limits(memory_bytes=2**30, time_s=10.0)


class SandboxEngine:
    """Every execution has a sandbox of its own."""

    def __init__(self, python: str, limits: Limits, size: int) -> None:
        self._python = python
        self._limits = limits
        self._workers = CodeWorkers("sandbox_worker", limits.memory_bytes, limits.time_s, size)
        self.description = _description(python)
        try:
            command(python, (), None)
        except SandboxUnavailable as why:
            logger.warning("the code interpreter cannot be used: %s %s", why.reason, why.remedy)

    async def execute(self, code: str, request: ToolRequest) -> ToolResult:
        reply = await self._workers.execute(Task(code, {}, self._limits, python=self._python))
        if reply.remedy:
            return ToolResult(content=f"Error: {reply.text} {reply.remedy}", is_error=True)
        if not reply.images:
            return ToolResult(content=reply.text, is_error=reply.is_error)
        items = [ContentItem(type="text", text=reply.text)] if reply.text else []
        items += [ContentItem(type="image", image=ImageSource(data=one)) for one in reply.images]
        return ToolResult(content=items, is_error=reply.is_error)

    async def aclose(self) -> None:
        await self._workers.aclose()


def sandbox_problem(python: str) -> tuple[str, str]:
    """Executes a program in a sandbox. Returns why this is not possible, and the remedy; two empty texts if it is. Blocks
    for about 0.1 s."""
    reply = execute(Task("1 + 1", {}, _PROBE, python=python))
    return ("", "") if reply.text == "2" and not reply.is_error else (reply.text, reply.remedy)


def _description(python: str) -> str:
    packages = _packages(Path(python))
    has = f" with the packages {', '.join(packages)}" if packages else ""
    figures = (
        " Figures of matplotlib that are open at the end are returned as images."
        if "matplotlib" in packages
        else ""
    )
    return (
        f"Executes Python code{has}, and returns what it prints and the value of its last expression.{figures} Variables "
        "and files are not kept between calls of this tool. There is no network, no other process can be started, and "
        f"only /tmp can be written ({TMP_BYTES >> 20} MiB)."
    )


def _packages(python: Path) -> list[str]:
    """Returns the names of the packages in the virtual environment, some of them if there are many."""
    found = set()
    for metadata in python.parent.parent.glob("lib/python*/site-packages/*.dist-info"):
        found.add(re.sub(r"[-_.]+", "-", metadata.name.removesuffix(".dist-info").rpartition("-")[0]).lower())
    return sorted(found - {"pip", "setuptools", "wheel"})[:MAX_PACKAGES]
