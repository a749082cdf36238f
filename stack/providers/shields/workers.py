"""Worker processes for shields whose work is too slow for the event loop."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from stack.errors import Unavailable, UpstreamFailed
from stack.off_loop import off_loop_if
from stack.workers.failure import Closed, NoAnswer
from stack.workers.limits import Limits
from stack.workers.pool import Pool
from stack.workers.process import Spec

SIZE = 2
MEMORY_BYTES = 1 << 30
IDLE_S = 600.0
"""Starting a worker takes half a second, which its first caller waits for."""
WAIT_S = 86_400.0
"""The caller limits the time of a task by cancellation, which ends the worker."""
LARGE_CHARACTERS = 65_536

T = TypeVar("T")


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Texts to search for `patterns`; without patterns, to classify: attacks with a score below `threshold` (by default
    that of the classifier) and of `excluded` categories are not reported."""

    texts: list[str]
    patterns: list[str] = []
    threshold: float | None = None
    excluded: list[str] = []


class TextWorkers:
    """The worker processes of all shields of a server, started on demand."""

    def __init__(self) -> None:
        limits = Limits(memory_bytes=MEMORY_BYTES, wait_s=WAIT_S)
        self._pool = Pool(Spec(module="stack.providers.shields.worker", limits=limits), SIZE, IDLE_S)

    async def ask(self, task: Task, form: type[T] | Any) -> T:
        """Returns the answer to a task, of the type `form`. Raises UpstreamFailed and Unavailable."""
        size = sum(map(len, task.texts))
        body = await off_loop_if(size >= LARGE_CHARACTERS, msgspec.json.encode, task)
        while True:
            try:
                answer: T = msgspec.json.decode(await self._pool.ask(body), type=form)
                return answer
            except Closed:
                raise Unavailable("The server is shutting down.", retry_after=5) from None
            except NoAnswer as error:
                if error.is_new:
                    raise UpstreamFailed(f"its worker process failed: {error}") from error
                # A kept worker may have ended while it was idle: the task is tried again on another.
            except OSError as error:
                raise UpstreamFailed(f"no worker process could be started: {error}.") from error

    async def aclose(self) -> None:
        await self._pool.aclose()
