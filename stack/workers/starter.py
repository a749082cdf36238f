"""Starts workers for an event loop and ends them, at the latest when it is closed."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from stack.workers.process import Spec, Worker


class Starter:
    """Processes are started and waited for in threads of its own, which live as long as it does."""

    def __init__(self, name: str, threads: int = 2) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._starting: set[Future[Worker]] = set()
        self._living: set[Worker] = set()
        self._closed = False

    @property
    def has_workers(self) -> bool:
        return bool(self._living)

    async def start(self, spec: Spec) -> Worker:
        """Raises OSError. If the caller is cancelled, the worker is ended."""
        starting = self._threads.submit(Worker, spec)
        self._starting.add(starting)
        try:
            worker = await asyncio.wrap_future(starting)
        except asyncio.CancelledError:
            if not starting.cancelled():
                starting.add_done_callback(_end_unwanted)
            raise
        finally:
            self._starting.discard(starting)
        self._living.add(worker)
        if self._closed:
            worker.kill()
        return worker

    async def end(self, worker: Worker, wait_s: float = 0.0) -> tuple[int, str]:
        """As `Worker.end`; to the end, even if the caller is cancelled."""
        if not wait_s:
            worker.kill()
        worker.unwatch()
        return await asyncio.shield(asyncio.wrap_future(self._threads.submit(self._end, worker, wait_s)))

    def discard(self, worker: Worker) -> None:
        """The same without waiting for it."""
        worker.kill()
        worker.unwatch()
        self._threads.submit(self._end, worker)

    async def aclose(self) -> None:
        """Ends all workers and those that are being started."""
        self._closed = True
        for starting in list(self._starting):
            with suppress(OSError):
                self._living.add(await asyncio.wrap_future(starting))
        living = list(self._living)
        for worker in living:
            worker.kill()
        for worker in living:
            await self.end(worker)

    def _end(self, worker: Worker, wait_s: float = 0.0) -> tuple[int, str]:
        outcome = worker.end(wait_s=wait_s)
        self._living.discard(worker)
        return outcome


def _end_unwanted(starting: Future[Worker]) -> None:
    if starting.exception() is None:
        starting.result().end()
