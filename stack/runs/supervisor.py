"""The owner of background tasks: it starts them, reports their state, and ends them in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from typing import Any

from msgspec import Struct

logger = logging.getLogger("replaystack.supervisor")

KEPT_FAILURES = 32


class TaskState(Struct, frozen=True):
    """One background task, for health and doctor. `state` is running or failed."""

    name: str
    state: str
    detail: str = ""


class Supervisor:
    """Background tasks of one event loop. A task that fails is logged and remembered, and stops no other."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], tuple[str, bool]] = {}
        self._failures: deque[TaskState] = deque(maxlen=KEPT_FAILURES)

    def spawn(self, name: str, work: Coroutine[Any, Any, Any], *, listed: bool = True) -> asyncio.Task[Any]:
        """Starts the work. A task that is not `listed` is counted elsewhere, and reported only if it
        fails."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = name, listed
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        name, _ = self._tasks.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logger.error("background task %s failed", name, exc_info=error)
            self._failures.append(TaskState(name, "failed", f"{type(error).__name__}: {error}"))

    def state(self) -> list[TaskState]:
        """Returns the listed running tasks, and the last failures."""
        running = [TaskState(name, "running") for name, listed in self._tasks.values() if listed]
        return [*running, *self._failures]

    async def stop(self) -> None:
        """Cancels the running tasks and waits for their end, including tasks that these start."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)
