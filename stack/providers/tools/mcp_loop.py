"""The event loop of all MCP clients, in a thread of its own.

A server's messages are parsed and validated by the `mcp` SDK, which takes 100 ms and more for a long list of tools,
and importing it takes 2 s. In a separate thread neither delays the requests that the main loop serves. A call
costs about 0.1 ms more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

STOP_S = 5.0


class McpLoop:
    """Create it anywhere; the thread starts at the first use. Its methods are called in one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Returns the result of `work`, which runs in the thread with the caller's context. If the caller is
        cancelled, the work is."""
        there, here = self._started(), asyncio.get_running_loop()
        done: asyncio.Future[T] = here.create_future()
        running: list[asyncio.Task[T]] = []

        def start() -> None:
            running.append(there.create_task(work()))
            running[0].add_done_callback(finish)

        def finish(task: asyncio.Task[T]) -> None:
            # The loop of a caller that has left may be closed.
            with suppress(RuntimeError):
                here.call_soon_threadsafe(_settle, task, done)

        # About half the time of `run_coroutine_threadsafe`, which has locks and a future more.
        there.call_soon_threadsafe(start)
        try:
            return await done
        except asyncio.CancelledError:
            there.call_soon_threadsafe(lambda: running[0].cancel())
            raise

    async def aclose(self) -> None:
        """Ends the thread. All work must have ended."""
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            await asyncio.to_thread(thread.join, STOP_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            # Not uvloop: processes are watched with pipes of our own, and both kinds of loop do that equally well.
            self._loop = asyncio.SelectorEventLoop()
            self._thread = threading.Thread(target=_run, args=(self._loop,), name="mcp", daemon=True)
            self._thread.start()
        return self._loop


def _settle(task: asyncio.Task[T], done: asyncio.Future[T]) -> None:
    if done.done():
        if not task.cancelled():
            # An exception that no one waits for is not reported.
            task.exception()
    elif task.cancelled():
        done.cancel()
    elif error := task.exception():
        done.set_exception(error)
    else:
        done.set_result(task.result())


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
