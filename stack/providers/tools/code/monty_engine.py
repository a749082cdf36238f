"""The default engine of the code interpreter: Monty, a Python without files, network and imports of packages."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Mapping, Sequence

from stack.providers.tools.code.task import Function, Limits, Outcome, Task
from stack.providers.tools.code.workers import CodeWorkers
from stack.providers.tools.port import STRUCTURED_CONTENT, NestedCall, Suspended, ToolRequest, ToolResult
from stack.providers.tools.result_text import text_of

DESCRIPTION = """\
Executes Python code and returns what it prints and the value of its last expression. Variables are not kept between \
calls of this tool.
The interpreter knows a subset of Python: functions, closures, comprehensions, f-strings, exceptions, dataclasses, \
plain classes, match. It has no inheritance, `yield`, `del`, `with open(...)`, files, network, packages or \
`input()`. It has these modules: asyncio (gather, run, sleep), base64, collections, csv, dataclasses, datetime, decimal, \
functools, hashlib, itertools, json, math, random, re, time, tomllib, typing, unicodedata.
Every other tool of this conversation that the server runs is a function of the same name: `page = search(query="x")`. It \
returns the tool's structured result, or its text as a string (use `json.loads` if it is JSON); a tool that fails raises \
RuntimeError. Write a tool's name with `_` for characters that a Python name cannot have, and with `_` at its end if \
Python has that name itself (`list_`). If the code uses `await` or `async`, the tools are coroutine functions: `await \
search(query="x")`, and `await asyncio.gather(search(query="x"), search(query="y"))` runs them at the same time."""


class MontyEngine:
    """Each task ends at a call of a tool, with the state from which any worker continues."""

    description = DESCRIPTION

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = limits
        self._workers = CodeWorkers("monty_worker", limits.memory_bytes, limits.time_s, size)

    async def execute(self, code: str, request: ToolRequest) -> ToolResult | Suspended:
        outcomes = [_outcome(one) for one in request.results]
        task = Task(code, functions_of(request.others), self._limits, request.state, outcomes)
        reply = await self._workers.execute(task)
        if reply.state is None:
            return ToolResult(content=reply.text, is_error=reply.is_error)
        calls = [NestedCall(tool=one.tool, arguments=one.arguments) for one in reply.calls]
        return Suspended(state=reply.state, calls=calls)

    async def aclose(self) -> None:
        await self._workers.aclose()


def functions_of(others: Mapping[str, Sequence[str]]) -> dict[str, Function]:
    """Returns the tools by their names in the code. If two tools have the same, the first has it."""
    found: dict[str, Function] = {}
    for tool, parameters in others.items():
        name = re.sub(r"\W", "_", tool)
        if name[:1].isdigit():
            name = f"_{name}"
        if keyword.iskeyword(name) or hasattr(builtins, name):
            name += "_"
        found.setdefault(name, Function(tool, list(parameters)))
    return found


def _outcome(result: ToolResult) -> Outcome:
    text = text_of(result.content)
    if result.is_error:
        return Outcome(error=text)
    structured = (result.metadata or {}).get(STRUCTURED_CONTENT)
    if isinstance(structured, dict) and structured.keys() == {"result"}:
        # This is how MCP servers wrap values that are not objects.
        return Outcome(structured["result"])
    return Outcome(text if structured is None else structured)
