"""Workers that are kept: each answers one task after the other, and is replaced after it has ended."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from stack.workers import framing
from stack.workers.failure import failure
from stack.workers.process import Spec, Worker
from stack.workers.starter import Starter


class Pool:
    """At most `size` workers of one event loop, started on demand; waiting callers are served in order. A
    worker that is idle for `idle_s` to twice as long is ended."""

    def __init__(self, spec: Spec, size: int, idle_s: float) -> None:
        self._spec = spec
        self._places = asyncio.Semaphore(size)
        self._starter = Starter(spec.module.rpartition(".")[2])
        self._idle_s = idle_s
        # The most recently used one is the last, and the next to be used.
        self._idle: list[tuple[float, Worker]] = []
        self._retiring: asyncio.TimerHandle | None = None

    async def ask(self, task: bytes) -> bytes:
        """Returns the reply to a task. Raises the errors of `Starter.start` and `Starter.frames`. A worker
        whose caller is cancelled is ended."""
        async with self._places:
            worker = self._idle.pop()[1] if self._idle else await self._starter.start(self._spec)
            async with aclosing(self._starter.frames(worker, task)) as frames:
                reply = [frame.payload async for frame in frames][-1]
            self._keep(worker)
            return reply

    async def aclose(self) -> None:
        """Ends all workers. Waiting callers receive Closed."""
        self._idle.clear()
        if self._retiring is not None:
            self._retiring.cancel()
        await self._starter.aclose()

    def _keep(self, worker: Worker) -> None:
        self._idle.append((time.monotonic(), worker))
        if self._retiring is None:
            self._retiring = asyncio.get_running_loop().call_later(self._idle_s, self._retire)

    def _retire(self) -> None:
        until = time.monotonic() - self._idle_s
        while self._idle and self._idle[0][0] <= until:
            self._starter.discard(self._idle.pop(0)[1])
        self._retiring = None
        if self._starter.has_workers:
            self._retiring = asyncio.get_running_loop().call_later(self._idle_s, self._retire)


class OneWorker:
    """A worker used by one thread, started on demand."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._worker: Worker | None = None

    def ask(self, task: bytes) -> bytes:
        """Like `Pool.ask`. Blocks."""
        worker = self._worker = self._worker or Worker(self._spec)
        try:
            frame = worker.reply(task)
            if frame is None or frame.kind != framing.DONE:
                raise failure(worker, frame)
        except BaseException:
            self.close()
            raise
        return frame.payload

    def close(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None
