"""The worker processes of an engine of the code interpreter."""

from __future__ import annotations

import logging
import os
import signal

import msgspec

from stack.off_loop import off_loop_if
from stack.providers.tools.code.task import Reply, Task
from stack.workers.failure import Closed, Exhausted, NoAnswer
from stack.workers.limits import Limits as ProcessLimits
from stack.workers.pool import Pool
from stack.workers.process import Spec

logger = logging.getLogger("replaystack.tools")

PROCESS_MEMORY_BYTES = 2**30
"""Memory of a worker in addition to that of the code, for the interpreter and for values that are passed on."""
IDLE_S = 60.0
OVERLOAD_S = 60.0
"""How much later than the code's limit a worker is ended: it should end the code in order."""
LARGE_BYTES = 65_536
"""Larger states and results are encoded outside of the event loop's thread."""


class CodeWorkers:
    """Executes tasks of `module`, at most `size` at the same time and one for each core; others wait."""

    def __init__(self, module: str, memory_bytes: int, time_s: float, size: int) -> None:
        self._time_s = time_s
        limits = ProcessLimits(
            memory_bytes=PROCESS_MEMORY_BYTES + memory_bytes, wait_s=2 * time_s + OVERLOAD_S, nice=5
        )
        spec = Spec(module=f"stack.providers.tools.code.{module}", limits=limits)
        self._pool = Pool(spec, min(size, max(2, os.cpu_count() or 2)), IDLE_S)

    async def execute(self, task: Task) -> Reply:
        """Returns the outcome. If the worker does not survive, this is an error for the model."""
        size = len(task.state or "") + sum(
            len(one.value) for one in task.outcomes if isinstance(one.value, str)
        )
        structured = any(isinstance(one.value, dict | list) for one in task.outcomes)
        body = await off_loop_if(structured or size > LARGE_BYTES, msgspec.msgpack.encode, task)
        while True:
            try:
                return _reply_of(await self._pool.ask(body))
            except NoAnswer as error:
                reason = self._reason(error)
                if reason or error.is_new:
                    return failed(reason or _unexpected(error))
                # A kept worker may have ended while it was idle: the code is executed again on another.
            except TimeoutError:
                return failed("the code did not end in time.")
            except OSError as error:
                return failed(f"no process could be started to execute the code: {error}.")

    async def aclose(self) -> None:
        await self._pool.aclose()

    def _reason(self, error: NoAnswer) -> str:
        """Returns why another attempt would not help; empty if it might."""
        if isinstance(error, Closed):
            return "the server is shutting down."
        if isinstance(error, Exhausted):
            return "the values of the code take too much memory to be passed on."
        if error.code == -signal.SIGXCPU:
            return (
                f"the code takes more than {self._time_s:g} s of computing time, or its values take too long to be "
                "passed on."
            )
        return ""


def failed(problem: str) -> Reply:
    return Reply(text=f"Error: {problem}", is_error=True)


_reply_of = msgspec.msgpack.Decoder(Reply).decode


def _unexpected(error: NoAnswer) -> str:
    logger.warning("code could not be executed: %s", error)
    return f"the process that executed the code ended unexpectedly (code {error.code})."
