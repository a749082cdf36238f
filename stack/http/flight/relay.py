"""Takes the answer to a query from the event loop of the server to that of gRPC, a few pieces ahead of the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import suppress

from schemas.api.sql import SqlRequest
from stack.errors import ReplaystackError, Unavailable
from stack.services.sql.sql import SqlAnswer, SqlService

AHEAD = 4


class Cancelled(ReplaystackError):
    """The query was ended by a request of the client."""

    status, title = 499, "Cancelled"


class Relay:
    """Create it in the loop that sends. `serving` is the loop of the service. Close it; until then it keeps the query's
    worker."""

    def __init__(self, service: SqlService, request: SqlRequest, serving: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._request = request
        self._serving = serving
        self._sending = asyncio.get_running_loop()
        self._queue: asyncio.Queue[SqlAnswer | bytes | ReplaystackError | None] = asyncio.Queue()
        # Used in the loop of the service.
        self._room = asyncio.Semaphore(AHEAD)
        self._making: Future[None] = asyncio.run_coroutine_threadsafe(self._make(), serving)

    async def begun(self) -> SqlAnswer:
        """Returns the answer without its pieces. Raises ReplaystackError. Called once, first."""
        answer = await self._next()
        assert isinstance(answer, SqlAnswer)
        return answer

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises ReplaystackError."""
        while (piece := await self._next()) is not None:
            assert isinstance(piece, bytes)
            yield piece

    def end(self, reason: ReplaystackError) -> None:
        """Ends the query, and its reader with this error."""
        self._queue.put_nowait(reason)
        self.close()

    def close(self) -> None:
        """Ends the query."""
        self._making.cancel()

    async def _next(self) -> SqlAnswer | bytes | None:
        piece = await self._queue.get()
        if isinstance(piece, ReplaystackError):
            raise piece
        self._serving.call_soon_threadsafe(self._room.release)
        return piece

    async def _make(self) -> None:
        end: ReplaystackError | None = Unavailable("The server is shutting down.", retry_after=5)
        try:
            async with self._service.answered(self._request) as answer:
                await self._put(answer)
                async for piece in answer.pieces:
                    await self._put(piece)
            end = None
        except ReplaystackError as error:
            end = error
        finally:
            # The loop that sends may have ended.
            with suppress(RuntimeError):
                self._sending.call_soon_threadsafe(self._queue.put_nowait, end)

    async def _put(self, piece: SqlAnswer | bytes) -> None:
        await self._room.acquire()
        self._sending.call_soon_threadsafe(self._queue.put_nowait, piece)
