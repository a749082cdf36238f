"""Worker processes as the server sees them: started, read a frame at a time, and always ended.

Pipes are read in threads of their own: a worker that is slow costs the event loop and its other threads nothing, and
one that is not asked for its next frame waits, with a pipe's worth of rows. A worker sees that the server is gone by
its standard input, which the server holds open.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

import msgspec

from stack.errors import Invalid, ReplaystackError, Unavailable, UpstreamFailed, UpstreamTimeout, of_status
from stack.providers.rows import frames
from stack.providers.rows.descriptor import Descriptor
from stack.providers.rows.frames import Frame, Job, Refusal
from stack.providers.rows.settings import ReadLimits

logger = logging.getLogger("replaystack.rows")

T = TypeVar("T")

MODULE = "stack.providers.rows.worker"
PIPE_BYTES = 2**20
_STDERR_BYTES = 16 * 1024
# Nothing else of the server's environment is any business of a process that reads what strangers wrote.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")


class Work(NamedTuple):
    """What a worker is started with. `job` goes to its standard input; it inherits the `content`."""

    job: bytes
    shown: str
    limits: ReadLimits
    content: Descriptor | None = None
    module: str = MODULE
    variables: Mapping[str, str] = {}


def reading(content: Descriptor, job: Job) -> Work:
    """The work of `stack.providers.rows.worker`."""
    return Work(msgspec.json.encode(job), job.shown, job.limits, content)


class WorkerProcess:
    """Blocks, all but `kill`: for threads."""

    def __init__(self, work: Work) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        # The worker finds its modules where the server found them, and never where it was started.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if Path(path).is_absolute())
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", work.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **work.variables},
            pass_fds=[work.content.number] if work.content else [],
            # Ctrl-C in a terminal is for the server, which ends its workers itself.
            start_new_session=True,
        )
        self._ending = Lock()
        self._outcome: tuple[int, str] | None = None
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self._in, self._out, self._err = self.process.stdin, self.process.stdout, self.process.stderr
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.say(work.job)

    def say(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._in.write(line + b"\n")
            self._in.flush()

    def frame(self) -> Frame | None:
        return frames.read(self._out)

    def kill(self) -> None:
        self.process.kill()

    def end(self, *, wait_s: float = 0.0) -> tuple[int, str]:
        """Its exit code (negative for a signal) and the end of what it said on standard error. It gets `wait_s` to
        end by itself. May be asked again."""
        with self._ending:
            if self._outcome is None:
                self._outcome = self._ended(wait_s)
            return self._outcome

    def _ended(self, wait_s: float) -> tuple[int, str]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(wait_s)
        self.process.kill()
        code = self.process.wait()
        os.set_blocking(self._err.fileno(), False)
        said = self._err.read(_STDERR_BYTES) or b""
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        self._out.close()
        self._err.close()
        return code, said.decode("utf-8", "replace").strip()


class Workers:
    """Starts workers, at most `places` at a time: its user sees to that. Of one event loop."""

    def __init__(self, places: int) -> None:
        # One reads, one may still wait for the last worker's end.
        self._threads = ThreadPoolExecutor(2 * places, "rows")
        self._starting: set[Future[WorkerProcess]] = set()
        self._living: set[WorkerProcess] = set()
        self._closed = False

    async def run(self, work: Work) -> AsyncGenerator[Frame, bytes | None]:
        """The frames of a worker up to its last. What is sent into the generator is said to the worker.

        Raises what the worker refuses with; Invalid for work that takes more than its limits, UpstreamFailed for a
        worker that crashes, Unavailable for one that cannot be started.
        """
        if self._closed:
            raise _closed()
        worker = await self._start(work)
        self._living.add(worker)
        if self._closed:
            worker.kill()
        try:
            left_s = work.limits.wait_s
            while True:
                asked = time.monotonic()
                frame = await self._frame(worker, work, left_s)
                left_s -= time.monotonic() - asked
                if frame is None and self._closed:
                    raise _closed()
                if frame is None:
                    raise _crashed(work, *await self._in_thread(lambda: worker.end(wait_s=1.0)))
                if frame.kind == frames.DONE:
                    return
                said = yield _checked(frame, work)
                if said is not None:
                    worker.say(said)
        finally:
            worker.kill()
            await asyncio.shield(self._in_thread(lambda: self._end(worker)))

    async def aclose(self) -> None:
        """Ends all workers; a caller that waits for one gets Unavailable."""
        self._closed = True
        for starting in list(self._starting):
            with contextlib.suppress(OSError):
                self._living.add(await asyncio.wrap_future(starting))
        living = list(self._living)
        for worker in living:
            worker.kill()
        for worker in living:
            await self._in_thread(worker.end)

    async def _frame(self, worker: WorkerProcess, work: Work, left_s: float) -> Frame | None:
        try:
            async with asyncio.timeout(left_s):
                return await self._in_thread(worker.frame)
        except TimeoutError:
            raise UpstreamTimeout(f"{work.shown} took more than {work.limits.wait_s:g} s to read.") from None

    def _end(self, worker: WorkerProcess) -> None:
        worker.end()
        self._living.discard(worker)

    async def _start(self, work: Work) -> WorkerProcess:
        starting: Future[WorkerProcess] = self._threads.submit(WorkerProcess, work)
        self._starting.add(starting)
        try:
            return await asyncio.wrap_future(starting)
        except OSError as error:
            raise Unavailable(
                f"No process can be started to read {work.shown}: {error.strerror}.", retry_after=5
            ) from None
        except asyncio.CancelledError:
            if not starting.cancelled():
                starting.add_done_callback(_end_unwanted)
            raise
        finally:
            self._starting.discard(starting)

    def _in_thread(self, call: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call)


def _closed() -> Unavailable:
    return Unavailable("The server is shutting down.", retry_after=5)


def _end_unwanted(starting: Future[WorkerProcess]) -> None:
    if starting.exception() is None:
        starting.result().kill()
        starting.result().end()


def _checked(frame: Frame, work: Work) -> Frame:
    if frame.kind == frames.REFUSED:
        refusal = msgspec.json.decode(frame.payload, type=Refusal)
        if refusal.cause:
            logger.warning("%s: %s", refusal.detail, refusal.cause)
        raise of_status(refusal.status, refusal.detail)
    if frame.kind == frames.FAULT:
        logger.error("%s failed:\n%s", work.module, frame.payload.decode("utf-8", "replace"))
        raise UpstreamFailed(f"{work.shown} could not be read: see the server's log.")
    return frame


def _crashed(work: Work, code: int, said: str) -> ReplaystackError:
    logger.warning("%s ended with %s while it read %s: %s", work.module, code, work.shown, said)
    if code == -signal.SIGXCPU:
        return Invalid(f"{work.shown} takes more than {work.limits.cpu_s} s of computing to read. Split it.")
    cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return UpstreamFailed(f"{work.shown} could not be read: the process that reads it ended ({cause}).")
