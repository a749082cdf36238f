"""Readers that wait for the tables to reach a position: coroutines and threads, each with a future."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future as ThreadFuture
from contextlib import suppress

from projections.warehouse.errors import ViewBehind

# Much more than the number of concurrent requests. Beyond it there is a fault, and refusing is better than
# queueing.
MAX_WAITERS = 10_000

Future = asyncio.Future[None] | ThreadFuture[None]


class Waiters:
    """Futures grouped by event loop, None for those of threads. Not thread-safe: the owner holds one lock
    around every call."""

    def __init__(self) -> None:
        self._positions: dict[asyncio.AbstractEventLoop | None, dict[Future, int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._positions.values()))

    def add(self, position: int) -> asyncio.Future[None]:
        """Returns a future of the running loop that is done when `position` is reached. Raises ViewBehind if
        there are too many."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(future, position)
        return future

    def add_thread(self, position: int) -> ThreadFuture[None]:
        """Like `add`, for a thread."""
        future: ThreadFuture[None] = ThreadFuture()
        self._add(future, position)
        return future

    def discard(self, future: Future) -> None:
        """Removes a future that is no longer awaited. A resolved one has already been removed."""
        waiting = self._positions.get(_loop_of(future))
        if waiting is not None:
            waiting.pop(future, None)
            self._forget_if_empty(_loop_of(future))

    def resolve(self, position: int) -> None:
        """Resolves the futures whose position is reached, with one call into each loop."""
        for loop in list(self._positions):
            waiting = self._positions[loop]
            reached = [future for future, wanted in waiting.items() if wanted <= position]
            if reached:
                self._take(loop, reached, None)

    def fail(self, reason: str) -> None:
        """Ends all waits with ViewBehind."""
        for loop in list(self._positions):
            self._take(loop, list(self._positions[loop]), reason)

    def _add(self, future: Future, position: int) -> None:
        if len(self) >= MAX_WAITERS:
            raise ViewBehind("Too many requests wait for the tables.")
        self._positions.setdefault(_loop_of(future), {})[future] = position

    def _take(
        self, loop: asyncio.AbstractEventLoop | None, futures: list[Future], reason: str | None
    ) -> None:
        for future in futures:
            del self._positions[loop][future]
        self._forget_if_empty(loop)
        if loop is None:
            _settle(futures, reason)
            return
        # A loop that was closed with requests in flight has no waiting callers.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, futures, reason)

    def _forget_if_empty(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if not self._positions[loop]:
            del self._positions[loop]


def _loop_of(future: Future) -> asyncio.AbstractEventLoop | None:
    return future.get_loop() if isinstance(future, asyncio.Future) else None


def _settle(futures: list[Future], reason: str | None) -> None:
    for future in futures:
        if future.done():
            continue
        if reason is None:
            future.set_result(None)
        else:
            future.set_exception(ViewBehind(reason))
