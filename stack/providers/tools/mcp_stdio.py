"""Connects the `mcp` SDK with a server process.

The SDK's own transport keeps lines of any length in memory and logs every line that is not a message. Imports the
SDK: import this module only in the thread of MCP clients.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter

from stack.providers.tools.mcp_lines import MAX_UNREADABLE, Budget, Lines, Needed, Unreadable, answered
from stack.providers.tools.mcp_listing import repair
from stack.providers.tools.mcp_process import ServerProcess

logger = logging.getLogger("replaystack.mcp")

# Above this rate, in lines per second, lines that are not needed are read for at most half of the time.
_UNNEEDED_PER_S = 2_000.0

Streams = tuple[ObjectReceiveStream[Any], ObjectSendStream[Any]]


class Ending:
    """Set when a connection ends by itself; `reason` is for people."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reason = ""

    def set(self, reason: str) -> None:
        if not self.event.is_set():
            self.reason = reason
            self.event.set()


@asynccontextmanager
async def connected(process: ServerProcess, ending: Ending) -> AsyncIterator[Streams]:
    """Connects a process, which is ended at exit. Enter and exit it in one task."""
    incoming, from_server = anyio.create_memory_object_stream[Any](0)
    to_server, outgoing = anyio.create_memory_object_stream[Any](0)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process, incoming, ending)
            tasks.start_soon(_write, process, outgoing, ending)
            try:
                yield from_server, to_server
            finally:
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await process.end()
        for stream in (incoming, from_server, to_server, outgoing):
            await stream.aclose()


async def _read(process: ServerProcess, incoming: ObjectSendStream[Any], ending: Ending) -> None:
    lines, needed, unneeded = Lines(), Needed(), Budget(_UNNEEDED_PER_S)
    unreadable = 0
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with incoming:
            while unreadable < MAX_UNREADABLE and (piece := await process.read()):
                began, dropped = time.monotonic(), 0
                for line in lines.feed(piece):
                    message = _message(line, needed)
                    if isinstance(message, SessionMessage):
                        unreadable = 0
                        await incoming.send(message)
                        continue
                    dropped += 1
                    if isinstance(message, Unreadable):
                        unreadable += 1
                        await _report(message, incoming)
                if dropped and not unneeded.take(dropped):
                    await asyncio.sleep(max(0.001, time.monotonic() - began))
            if unreadable >= MAX_UNREADABLE:
                ending.set(f"it wrote {unreadable} lines that are not MCP messages")
            else:
                ending.set(await process.outcome())


def _message(line: bytes | Unreadable, needed: Needed) -> SessionMessage | Unreadable | None:
    """Returns the message of a line; None if it is not needed."""
    if isinstance(line, Unreadable):
        return line
    kind = needed.kind(line)
    if kind == "needed":
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            if isinstance(message, JSONRPCResponse):
                repair(message.result)
            return SessionMessage(message)
        except ValueError:
            kind = "unreadable"
    return Unreadable("a message is damaged", answered(line)) if kind == "unreadable" else None


async def _report(line: Unreadable, incoming: ObjectSendStream[Any]) -> None:
    """Ends the request that a damaged line seems to answer, which would otherwise wait until its timeout."""
    logger.debug("unreadable output of an MCP server: %s", line.reason)
    if line.answers is not None:
        error = ErrorData(code=INTERNAL_ERROR, message=f"The answer cannot be read: {line.reason}.")
        await incoming.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=line.answers, error=error)))


async def _write(process: ServerProcess, outgoing: ObjectReceiveStream[Any], ending: Ending) -> None:
    async with outgoing:
        try:
            async for one in outgoing:
                text: str = one.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.write(text.encode() + b"\n")
        except TimeoutError:
            ending.set("it does not read its input")
        except OSError:
            # The reader sees the end of its output, and how it ended, unless the process has closed only its input.
            await asyncio.sleep(0.5)
            ending.set("it closed its input")
