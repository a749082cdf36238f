"""The connection to one MCP server: opened at its first use, and again after it has ended.

Imports the SDK: import this module only in the thread of MCP clients.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from mcp import Client, MCPError
from mcp.client.session import ClientSession, ElicitationFnT
from mcp.client.subscriptions import listen
from mcp.types import CONNECTION_CLOSED, Implementation, ToolListChangedNotification

from stack.providers.tools.mcp_stdio import Ending, Streams
from stack.providers.tools.port import NotCalled
from stack.version import VERSION

logger = logging.getLogger("replaystack.mcp")

MAX_PAUSE_S = 30.0
"""Longest pause between two attempts to connect, in seconds."""
WAIT_S = 2.0
"""A call waits for a shorter pause and fails at once during a longer one."""

_STOPS = "the server stops"

Connect = Callable[[Ending], AbstractAsyncContextManager[Streams]]


class Session:
    """All methods are called in the loop of MCP clients. `where` names the server in messages. `on_change` is called
    when the list of tools has changed."""

    def __init__(
        self,
        where: str,
        connect: Connect,
        *,
        connect_timeout_s: float,
        on_elicitation: ElicitationFnT,
        on_change: Callable[[], None],
    ) -> None:
        self._where = where
        self._connect = connect
        self._connect_timeout_s = connect_timeout_s
        self._on_elicitation = on_elicitation
        self._on_change = on_change
        self._owner: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[ClientSession] | None = None
        self._ending = Ending()
        self._failures = 0
        self._not_before = 0.0
        self.failure = ""
        """Why the last connection failed or ended; empty while there is one."""
        self.client: Client | None = None

    async def current(self) -> ClientSession:
        """Returns the open session. Raises NotCalled if there is none and it cannot be opened."""
        loop = asyncio.get_running_loop()
        if self._owner is None or self._owner.done() or self._ending.event.is_set():
            if self._owner is not None:
                await asyncio.wait([self._owner])
            pause = self._not_before - loop.time()
            if pause > WAIT_S:
                raise NotCalled(
                    f"{self._where} is not available: {self.failure}. The next attempt is in {pause:.0f} s."
                )
            if pause > 0:
                await asyncio.sleep(pause)
            if self._owner is None or self._owner.done():
                self._ending = Ending()
                self._opened = loop.create_future()
                self._owner = loop.create_task(self._own(self._opened, self._ending))
        assert self._opened is not None
        return await asyncio.shield(self._opened)

    def succeeded(self) -> None:
        """The server has answered: the next failure counts as the first one."""
        self._failures = 0

    def drop(self, reason: str) -> None:
        """Ends the connection; the next use opens another one."""
        self._ending.set(reason)

    def why_ended(self) -> str:
        return self._ending.reason or self.failure

    async def aclose(self) -> None:
        self._ending.set(_STOPS)
        if self._owner is not None:
            self._owner.cancel()
            await asyncio.wait([self._owner])

    async def _own(self, opened: asyncio.Future[ClientSession], ending: Ending) -> None:
        """Holds the connection: its task groups must be entered and left in one task."""
        reason = ""
        try:
            async with AsyncExitStack() as stack:
                client = Client(
                    self._connect(ending),
                    cache=None,
                    client_info=Implementation(name="replaystack", version=VERSION),
                    elicitation_callback=self._on_elicitation,
                    message_handler=self._notified,
                )
                async with asyncio.timeout(self._connect_timeout_s):
                    await stack.enter_async_context(client)
                self.client, self.failure = client, ""
                opened.set_result(client.session)
                follower = asyncio.create_task(self._follow(client.session))
                stack.callback(follower.cancel)
                await ending.event.wait()
            reason = ending.reason
        except TimeoutError:
            reason = f"it did not answer within {self._connect_timeout_s:g} s"
        except asyncio.CancelledError:
            reason = _STOPS
        except BaseException as error:
            reason = (_is_closed(error) and ending.reason) or reason_of(error)
            logger.debug("%s: the connection failed", self._where, exc_info=True)
        finally:
            self.client = None
            self._ended(reason, opened)

    def _ended(self, reason: str, opened: asyncio.Future[ClientSession]) -> None:
        self.failure = reason
        pause = min(MAX_PAUSE_S, 2.0**self._failures - 1)
        self._failures += 1
        self._not_before = asyncio.get_running_loop().time() + pause
        if not opened.done():
            opened.set_exception(NotCalled(f"{self._where} is not available: {reason}."))
            # Its callers may have left.
            opened.exception()
        if reason != _STOPS:
            logger.warning("%s: the connection has ended: %s", self._where, reason)

    async def _notified(self, message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._on_change()

    async def _follow(self, session: ClientSession) -> None:
        """Subscribes to changes of the list of tools, which servers of the stateless revision send only then."""
        capabilities = session.server_capabilities
        if session.discover_result is None or capabilities is None or capabilities.tools is None:
            return
        if not capabilities.tools.list_changed:
            return
        try:
            async with listen(session, tools_list_changed=True) as changes:
                async for _ in changes:
                    self._on_change()
        except Exception as error:
            # The list is read again at the end of its time to live.
            logger.debug("%s: no subscription to changes: %s", self._where, error)


def _is_closed(error: BaseException) -> bool:
    error = _first(error)
    return isinstance(error, MCPError) and error.error.code == CONNECTION_CLOSED


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def reason_of(error: BaseException) -> str:
    """Returns one line about an error, or the first one of a group."""
    error = _first(error)
    if isinstance(error, MCPError):
        return f"{error.error.message[:300]} (code {error.error.code})"
    if isinstance(error, FileNotFoundError):
        return f"the command {error.filename!r} does not exist"
    first = str(error).strip().partition("\n")[0]
    return first[:300] or type(error).__name__
