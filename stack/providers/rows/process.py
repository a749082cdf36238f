"""Worker processes that read rows: each is started for one source, and ended after it."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

import msgspec
from msgspec.structs import replace

from stack.errors import Invalid, ReplaystackError, Unavailable, UpstreamFailed, UpstreamTimeout, of_status
from stack.providers.rows import frames
from stack.providers.rows.frames import Job, Refusal
from stack.providers.rows.settings import ReadLimits
from stack.workers import framing
from stack.workers.descriptor import Descriptor
from stack.workers.failure import Closed, Exhausted, NoAnswer
from stack.workers.framing import Frame
from stack.workers.limits import Limits
from stack.workers.process import Spec, Worker
from stack.workers.starter import Starter

logger = logging.getLogger("replaystack.rows")

MODULE = "stack.providers.rows.worker"
NICE = 5
LEAST_CPU_S = 20
LEAST_MEMORY_BYTES = 3 * 2**29
"""Limits for the smallest content. Each MiB adds 1 s and 16 MiB. Reading a MiB of CSV takes 0.1 s."""

Ask = Callable[[bytes], AsyncGenerator[Frame, None]]


class Workers:
    """The workers of one event loop. The caller limits their number."""

    def __init__(self) -> None:
        self._starter = Starter("rows")

    @asynccontextmanager
    async def worker(self, spec: Spec, shown: str) -> AsyncIterator[Ask]:
        """Yields a function that sends a task and yields the frames of the response. `shown` names the source
        in messages.

        Raises the worker's refusals; Invalid for work that exceeds its limits, UpstreamFailed for a worker
        that crashes, UpstreamTimeout, Unavailable for a worker that cannot be started.
        """
        try:
            worker = await self._starter.start(spec)
        except Closed:
            raise _closed() from None
        except OSError as error:
            raise Unavailable(
                f"No process can be started to read {shown}: {error.strerror}.", retry_after=5
            ) from None
        try:
            yield lambda task: self._frames(worker, task, shown)
        finally:
            await self._starter.end(worker)

    async def read(self, content: Descriptor, job: Job) -> AsyncGenerator[Frame, None]:
        """Yields the frames of `stack.providers.rows.worker`. Raises the same errors as `worker`."""
        limits = _limits_for(os.fstat(content.number).st_size, job.limits)
        spec = Spec(module=MODULE, limits=process_limits(limits), descriptors=(content,))
        task = msgspec.json.encode(replace(job, limits=limits))
        async with self.worker(spec, job.shown) as ask, aclosing(ask(task)) as found:
            async for frame in found:
                yield frame

    async def aclose(self) -> None:
        """Ends all workers; waiting callers receive Unavailable."""
        await self._starter.aclose()

    async def _frames(self, worker: Worker, task: bytes, shown: str) -> AsyncGenerator[Frame, None]:
        with _explaining_failures(worker.spec, shown):
            async with aclosing(self._starter.frames(worker, task)) as found:
                async for frame in found:
                    if frame.kind == frames.REFUSED:
                        raise _refusal(frame.payload)
                    if frame.kind != framing.DONE:
                        yield frame


def _limits_for(size: int, limits: ReadLimits) -> ReadLimits:
    """Returns the limits for content of `size` bytes, compressed or not. Small content that takes much to read is
    suspicious."""
    return replace(
        limits,
        cpu_s=min(limits.cpu_s, LEAST_CPU_S + (size >> 20)),
        memory_bytes=min(limits.memory_bytes, LEAST_MEMORY_BYTES + 16 * size),
    )


def process_limits(limits: ReadLimits, file_bytes: int = 0) -> Limits:
    """Returns the limits of a process that may write files up to `file_bytes`."""
    return Limits(
        memory_bytes=limits.memory_bytes,
        wait_s=limits.wait_s,
        cpu_s=limits.cpu_s,
        nice=NICE,
        file_bytes=file_bytes,
    )


@contextmanager
def _explaining_failures(spec: Spec, shown: str) -> Iterator[None]:
    """Converts the failures of a worker to errors that name their cause."""
    try:
        yield
    except Closed:
        raise _closed() from None
    except Exhausted:
        raise Invalid(
            f"{shown} takes more memory to read than the {spec.limits.memory_bytes} bytes there are for it "
            "(setting max_dataset_memory_bytes). Split it, or send it as JSONL or CSV."
        ) from None
    except NoAnswer as error:
        logger.warning("%s could not be read: %s", shown, error)
        raise _crashed(spec, shown, error.code or 0) from None
    except TimeoutError:
        raise UpstreamTimeout(f"{shown} took more than {spec.limits.wait_s:g} s to read.") from None


def _crashed(spec: Spec, shown: str, code: int) -> ReplaystackError:
    if code == -signal.SIGXCPU:
        return Invalid(
            f"{shown} takes more than {spec.limits.cpu_s} s of computing to read (setting max_dataset_cpu_s). Split it."
        )
    cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}: see the server's log"
    return UpstreamFailed(f"{shown} could not be read: the process that reads it ended ({cause}).")


def _refusal(payload: bytes) -> ReplaystackError:
    refusal = msgspec.json.decode(payload, type=Refusal)
    if refusal.cause:
        logger.warning("%s: %s", refusal.detail, refusal.cause)
    return of_status(refusal.status, refusal.detail)


def _closed() -> Unavailable:
    return Unavailable("The server is shutting down.", retry_after=5)
