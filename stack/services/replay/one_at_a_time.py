"""A queue for work on whole sessions, which uses the processor for up to seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stack.errors import Unavailable

MAX_WAITING = 8


class OneAtATime:
    """Only one runs at a time, so that other requests are not delayed."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for the place. Raises Unavailable if too many are waiting."""
        if self._waiting >= MAX_WAITING:
            raise Unavailable(
                f"{self._waiting} checks and redactions of sessions are waiting; try again.", retry_after=5
            )
        self._waiting += 1
        try:
            async with self._one:
                yield
        finally:
            self._waiting -= 1
