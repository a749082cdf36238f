"""Checks sessions for callers of the server, one after the other."""

from __future__ import annotations

import asyncio

from schemas.api.session_check import Report
from stack.services.replay.check import check
from stack.services.replay.one_at_a_time import OneAtATime
from stack.services.replay.session_export import SessionExport


class SessionChecks:
    """A check runs in a thread with an event loop of its own."""

    def __init__(self, sessions: SessionExport, queue: OneAtATime) -> None:
        self._sessions = sessions
        self._queue = queue

    async def check(self, agent_id: str, session_id: str) -> Report:
        """Raises NotFound, and Unavailable if too many checks are waiting."""
        async with self._queue.place():
            record = await self._sessions.record(agent_id, session_id)
            return await asyncio.to_thread(lambda: asyncio.run(check(record)).report)
