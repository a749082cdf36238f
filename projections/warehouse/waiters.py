"""Those who wait for the view to reach a position: threads on a condition, coroutines on futures."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from projections.warehouse.errors import ViewBehind

# Far more than requests in flight. Beyond it something is wrong, and refusing is better than piling up.
MAX_WAITERS = 10_000


class Waiters:
    """Waiting coroutines by event loop. Not thread-safe: its owner holds one lock around every call."""

    def __init__(self) -> None:
        self._positions: dict[asyncio.AbstractEventLoop, dict[asyncio.Future[None], int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._positions.values()))

    def wanted(self) -> int:
        """The highest position anyone waits for, 0 when no one does."""
        return max((max(waiting.values()) for waiting in self._positions.values() if waiting), default=0)

    def add(self, position: int) -> asyncio.Future[None]:
        """A future of the running loop that is done when `position` is reached. Raises ViewBehind when there
        are too many."""
        if len(self) >= MAX_WAITERS:
            raise ViewBehind("Too many requests wait for the view.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._positions.setdefault(loop, {})[future] = position
        return future

    def discard(self, future: asyncio.Future[None]) -> None:
        """Forgets a future that was given up. One that was resolved is gone already."""
        loop = future.get_loop()
        waiting = self._positions.get(loop)
        if waiting is not None:
            waiting.pop(future, None)
            if not waiting:
                del self._positions[loop]

    def resolve(self, position: int) -> None:
        """Ends the waiting of those whose position is reached: one call into each loop."""
        for loop in list(self._positions):
            waiting = self._positions[loop]
            reached = [future for future, wanted in waiting.items() if wanted <= position]
            self._take(loop, reached)
            if reached:
                _call(loop, reached, None)

    def fail(self, reason: str) -> None:
        """Ends all waiting with ViewBehind."""
        for loop in list(self._positions):
            waiting = list(self._positions[loop])
            self._take(loop, waiting)
            _call(loop, waiting, reason)

    def _take(self, loop: asyncio.AbstractEventLoop, futures: list[asyncio.Future[None]]) -> None:
        waiting = self._positions[loop]
        for future in futures:
            del waiting[future]
        if not waiting:
            del self._positions[loop]


def _call(loop: asyncio.AbstractEventLoop, futures: list[asyncio.Future[None]], reason: str | None) -> None:
    # A loop that was closed with requests in flight has no one left to tell.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, futures, reason)


def _settle(futures: list[asyncio.Future[None]], reason: str | None) -> None:
    for future in futures:
        if future.done():
            continue
        if reason is None:
            future.set_result(None)
        else:
            future.set_exception(ViewBehind(reason))
