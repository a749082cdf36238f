"""The default engine of the code interpreter: Monty, a Python without files, network and imports of packages."""

from __future__ import annotations

import builtins
import keyword
import logging
import re
import signal
from collections.abc import Mapping, Sequence

import msgspec

from stack.off_loop import off_loop_if
from stack.providers.tools.code.task import Function, Limits, Outcome, Reply, Task
from stack.providers.tools.port import STRUCTURED_CONTENT, NestedCall, Suspended, ToolRequest, ToolResult
from stack.providers.tools.result_text import text_of
from stack.workers.failure import Closed, Exhausted, NoAnswer
from stack.workers.limits import Limits as ProcessLimits
from stack.workers.pool import Pool
from stack.workers.process import Spec

logger = logging.getLogger("replaystack.tools")

SIZE = 2
PROCESS_MEMORY_BYTES = 2**30
"""In addition to the memory of the code, for the interpreter itself."""
IDLE_S = 60.0
LARGE_BYTES = 65_536
"""Larger states and results are encoded outside of the event loop's thread."""

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
    """At most SIZE executions at the same time; others wait."""

    description = DESCRIPTION

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        memory_bytes = PROCESS_MEMORY_BYTES + limits.memory_bytes
        spec = Spec(
            module="stack.providers.tools.code.monty_worker",
            limits=ProcessLimits(memory_bytes=memory_bytes, wait_s=120.0, nice=10, file_bytes=0),
        )
        self._pool = Pool(spec, SIZE, IDLE_S)

    async def execute(self, code: str, request: ToolRequest) -> ToolResult | Suspended:
        task = Task(
            code,
            functions_of(request.others),
            self._limits,
            request.state,
            list(map(_outcome, request.results)),
        )
        large = (
            len(request.state or "") + sum(len(text_of(one.content)) for one in request.results) > LARGE_BYTES
        )
        body = await off_loop_if(large, msgspec.msgpack.encode, task)
        while True:
            try:
                return _outcome_of(_reply_of(await self._pool.ask(body)))
            except NoAnswer as error:
                reason = self._reason(error)
                if reason or error.is_new:
                    return _failed(reason or _unexpected(error))
                # A kept worker may have ended while it was idle: the code is executed again on another.
            except TimeoutError:
                return _failed("the code did not end in time.")
            except OSError as error:
                return _failed(f"no process could be started to execute the code: {error}.")

    async def aclose(self) -> None:
        await self._pool.aclose()

    def _reason(self, error: NoAnswer) -> str:
        """Returns why another attempt would not help; empty if it might."""
        if isinstance(error, Closed):
            return "the server is shutting down."
        if isinstance(error, Exhausted):
            return "the values of the code take too much memory to be passed on."
        if error.code == -signal.SIGXCPU:
            return f"the code takes more than {self._limits.time_s:g} s of computing time, or its values too long to be passed on."
        return ""


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


_reply_of = msgspec.msgpack.Decoder(Reply).decode


def _outcome(result: ToolResult) -> Outcome:
    text = text_of(result.content)
    if result.is_error:
        return Outcome(error=text)
    structured = (result.metadata or {}).get(STRUCTURED_CONTENT)
    return Outcome(text if structured is None else structured)


def _outcome_of(reply: Reply) -> ToolResult | Suspended:
    if reply.state is None:
        return ToolResult(content=reply.text, is_error=reply.is_error)
    return Suspended(
        state=reply.state, calls=[NestedCall(tool=one.tool, arguments=one.arguments) for one in reply.calls]
    )


def _failed(problem: str) -> ToolResult:
    return ToolResult(content=f"Error: {problem}", is_error=True)


def _unexpected(error: NoAnswer) -> str:
    logger.warning("code could not be executed: %s", error)
    return f"the process that executed the code ended unexpectedly (code {error.code})."
