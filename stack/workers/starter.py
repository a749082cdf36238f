"""Starts workers for an event loop, sends them tasks, and ends them, at the latest when it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from stack.workers import framing
from stack.workers.child_process import ChildProcess
from stack.workers.failure import Closed, failure
from stack.workers.framing import Frame
from stack.workers.process import Spec, Worker

T = TypeVar("T")
P = TypeVar("P", bound=ChildProcess)


class Starter:
    """Processes are started and waited for in separate threads, which live as long as the starter."""

    def __init__(self, name: str, threads: int = 2) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._starting: set[Future[Any]] = set()
        self._living: set[ChildProcess] = set()
        self._closed = False

    @property
    def has_workers(self) -> bool:
        return bool(self._living)

    async def start(self, spec: Spec) -> Worker:
        """Starts a worker. Raises OSError; Closed. If the caller is cancelled, the worker is ended."""
        return await self.launch(partial(Worker, spec))

    async def launch(self, make: Callable[[], P]) -> P:
        """Like `start`, for a process of any kind."""
        if self._closed:
            raise _closed()
        starting = self._threads.submit(make)
        self._starting.add(starting)
        try:
            worker = await asyncio.wrap_future(starting)
        except asyncio.CancelledError:
            if not starting.cancelled():
                starting.add_done_callback(_end_unwanted)
            raise
        finally:
            self._starting.discard(starting)
        if self._closed:
            raise _closed()
        self._living.add(worker)
        return worker

    async def frames(self, worker: Worker, task: bytes) -> AsyncGenerator[Frame, None]:
        """Sends a task to a waiting worker, and yields the frames of its answer, DONE as the last. Close it,
        or read it to its end: a worker whose answer is no longer needed is ended, as is one that failed.

        Raises OSError: NoAnswer, Exhausted and Closed; TimeoutError if the worker takes longer than its
        `wait_s`."""
        left_s, now_s = worker.spec.limits.wait_s, asyncio.get_running_loop().time
        frame: Frame | None = None
        try:
            began_s = now_s()
            async with asyncio.timeout(left_s):
                await worker.send(task)
            while frame is None or frame.kind != framing.DONE:
                async with asyncio.timeout(left_s - (now_s() - began_s)):
                    frame = await worker.frame()
                if self._closed:
                    raise _closed()
                if frame is None or frame.kind in (framing.FAULT, framing.EXHAUSTED):
                    worker.unwatch()
                    raise await self._in_thread(failure, worker, frame)
                left_s -= now_s() - began_s
                yield frame
                began_s = now_s()
        finally:
            if frame is None or frame.kind != framing.DONE or self._closed:
                await self.end(worker)

    async def end(self, worker: ChildProcess) -> None:
        """Like `Worker.end`; completed even if the caller is cancelled."""
        await asyncio.shield(self.discard(worker))

    def ended(self, worker: ChildProcess, wait_s: float) -> asyncio.Future[tuple[int, str]]:
        """Returns its exit code and the end of its standard error. It may take `wait_s` to end by itself."""
        return self._in_thread(self._ended, worker, wait_s)

    def discard(self, worker: ChildProcess) -> asyncio.Future[None]:
        """Like `end`, without waiting for it."""
        worker.kill()
        worker.unwatch()
        return self._in_thread(self._end, worker)

    async def aclose(self) -> None:
        """Ends all workers, including those that are being started."""
        self._closed = True
        for starting in list(self._starting):
            with suppress(OSError):
                self._living.add(await asyncio.wrap_future(starting))
        for ending in [self.discard(worker) for worker in list(self._living)]:
            await ending

    def _in_thread(self, call: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    def _end(self, worker: ChildProcess) -> None:
        self._ended(worker, 0.0)

    def _ended(self, worker: ChildProcess, wait_s: float) -> tuple[int, str]:
        outcome = worker.end(wait_s=wait_s)
        self._living.discard(worker)
        return outcome


def _closed() -> Closed:
    return Closed("no more workers are started")


def _end_unwanted(starting: Future[Any]) -> None:
    if starting.exception() is None:
        starting.result().end()
