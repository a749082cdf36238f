"""Takes the answer to a query from the event loop of the server to that of gRPC, a few messages ahead of the client."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress

from stack.errors import ReplaystackError, Unavailable
from stack.http.flight.statements import Statement
from stack.services.sql.sql import SqlEnd, SqlService

AHEAD = 4


class Cancelled(ReplaystackError):
    """The query was ended by a request of the client."""

    status, title = 499, "Cancelled"


class Relay:
    """Create it in the loop that sends. `serving` is the loop of the service. Close it; until then it keeps the query's
    worker."""

    def __init__(self, service: SqlService, statement: Statement, serving: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._statement = statement
        self._serving = serving
        self._sending = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | SqlEnd | ReplaystackError] = asyncio.Queue()
        # Used in the loop of the service.
        self._room = asyncio.Semaphore(AHEAD)
        self._making: Future[None] = asyncio.run_coroutine_threadsafe(self._make(), serving)

    async def next(self) -> bytes | SqlEnd:
        """Returns the next message, and the end at last. Raises ReplaystackError."""
        found = await self._queue.get()
        if isinstance(found, ReplaystackError):
            raise found
        self._serving.call_soon_threadsafe(self._room.release)
        return found

    def end(self, reason: ReplaystackError) -> None:
        """Ends the query, and its reader with this error."""
        self._queue.put_nowait(reason)
        self.close()

    def close(self) -> None:
        """Ends the query."""
        self._making.cancel()

    async def _make(self) -> None:
        last: SqlEnd | ReplaystackError = Unavailable("The server is shutting down.", retry_after=5)
        try:
            async with self._service.streamed(self._statement.query, self._statement.parameters) as messages:
                async for message in messages:
                    if isinstance(message, SqlEnd):
                        # Told once the worker is free: `close` would end it.
                        end = message
                    else:
                        await self._room.acquire()
                        self._sending.call_soon_threadsafe(self._queue.put_nowait, message)
            last = end
        except ReplaystackError as error:
            last = error
        finally:
            # The loop that sends may have ended.
            with suppress(RuntimeError):
                self._sending.call_soon_threadsafe(self._queue.put_nowait, last)
