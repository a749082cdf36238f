"""Workers that are kept: each answers one task after the other, and is replaced when it has ended."""

from __future__ import annotations

import asyncio
import time

from stack.workers import framing
from stack.workers.framing import Frame
from stack.workers.process import Spec, Worker
from stack.workers.starter import Starter

_EXIT_S = 1.0
"""A worker whose pipe has closed gets this long to exit, so that its own exit code can be reported."""


class NoAnswer(ConnectionError):
    """The worker ended before it answered, with `code` (negative for a signal). `is_new` if it had answered no other
    task: one that was kept may have ended while it was idle."""

    def __init__(self, problem: str, code: int | None = None, *, is_new: bool = True) -> None:
        super().__init__(problem)
        self.code = code
        self.is_new = is_new


class Exhausted(NoAnswer):
    """The task needs more memory than its worker may have."""


class Closed(NoAnswer):
    """The pool is closed."""


class Pool:
    """At most `size` workers of one event loop, started when they are needed; who waits is served in turn. A worker
    that is not needed for `idle_s` to twice as long is ended."""

    def __init__(self, spec: Spec, size: int, idle_s: float) -> None:
        self._spec = spec
        self._places = asyncio.Semaphore(size)
        self._starter = Starter(spec.module.rpartition(".")[2])
        self._idle_s = idle_s
        # The one that was used last is the last, and the next to be used.
        self._idle: list[tuple[float, Worker]] = []
        self._retiring: asyncio.TimerHandle | None = None
        self._closed = False

    async def ask(self, task: bytes, wait_s: float) -> bytes:
        """Returns the reply to a task. Raises OSError: NoAnswer; TimeoutError `wait_s` after the task was sent; others
        if no process can be started. A worker whose caller is cancelled is ended."""
        async with self._places:
            if self._closed:
                raise Closed("the pool is closed")
            is_new = not self._idle
            worker = await self._starter.start(self._spec) if is_new else self._idle.pop()[1]
            try:
                async with asyncio.timeout(wait_s):
                    await worker.send(task)
                    frame = await worker.frame()
            except BaseException:
                # Its answer would be taken for that of the next task.
                await self._starter.end(worker)
                raise
            if frame is None or frame.kind != framing.DONE or self._closed:
                outcome = await self._starter.end(worker, _EXIT_S)
                if self._closed:
                    raise Closed("the pool is closed")
                raise _failure(self._spec, frame, outcome, is_new)
            self._keep(worker)
            return frame.payload

    async def aclose(self) -> None:
        """Ends all workers. Who waits for one gets Closed."""
        self._closed = True
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
    """A worker that is asked by one thread, which starts it when it is needed."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._worker: Worker | None = None

    def ask(self, task: bytes, wait_s: float) -> bytes:
        """As `Pool.ask`. Blocks."""
        is_new = self._worker is None
        worker = self._worker = self._worker or Worker(self._spec)
        try:
            frame = worker.reply(task, wait_s)
        except BaseException:
            self.close()
            raise
        if frame is None or frame.kind != framing.DONE:
            outcome = worker.end(wait_s=_EXIT_S)
            self._worker = None
            raise _failure(self._spec, frame, outcome, is_new)
        return frame.payload

    def close(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None


def _failure(spec: Spec, frame: Frame | None, outcome: tuple[int, str], is_new: bool) -> NoAnswer:
    code, said = outcome
    if frame is None:
        return NoAnswer(f"{spec.module} ended with {code}: {said}", code, is_new=is_new)
    if frame.kind == framing.EXHAUSTED:
        return Exhausted(f"{spec.module} needs more than {spec.limits.memory_bytes} bytes of memory", code)
    return NoAnswer(f"{spec.module} failed:\n{frame.payload.decode('utf-8', 'replace')}", code)
