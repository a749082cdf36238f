"""Checks sessions for callers of the server, one after the other."""

from __future__ import annotations

import asyncio

from schemas.api.session_check import Report
from stack.errors import Unavailable
from stack.services.replay.check import check
from stack.services.replay.session_export import SessionExport

MAX_WAITING = 8


class SessionChecks:
    """A check uses the processor for up to seconds, in a thread with an event loop of its own. Only one runs at a time, so
    that the other requests are not delayed."""

    def __init__(self, sessions: SessionExport) -> None:
        self._sessions = sessions
        self._one = asyncio.Lock()
        self._waiting = 0

    async def check(self, agent_id: str, session_id: str) -> Report:
        """Raises NotFound, and Unavailable if too many checks are waiting."""
        if self._waiting >= MAX_WAITING:
            raise Unavailable(f"{self._waiting} checks of sessions are waiting; try again.", retry_after=5)
        self._waiting += 1
        try:
            async with self._one:
                record = await self._sessions.record(agent_id, session_id)
                return await asyncio.to_thread(lambda: asyncio.run(check(record)).report)
        finally:
            self._waiting -= 1
