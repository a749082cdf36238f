"""An evaluation job as the process knows it: what its requests wait for and follow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from projections import wire
from projections.warehouse.reader import rfc3339
from schemas.api.error import Error
from schemas.api.evaljob import Job, JobOutcome
from schemas.events.base import Event
from stack.domain import evaljob as evaljobs
from stack.domain.evaljob import EvalJobState
from stack.eventstore import stream_name

Stop = Literal["cancelled", "parked"]


class RunningJob:
    """A job that is scheduled or running in this process. `version` is that of its stream."""

    def __init__(self, benchmark_id: str, job_id: str) -> None:
        self.benchmark_id = benchmark_id
        self.job_id = job_id
        self.state = EvalJobState()
        self.version = 0
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.ending = False
        self.parking = False
        """No further row begins: the server is shutting down."""
        self.over = False
        """Nothing more comes of it in this process."""
        self.stopping: tuple[Stop, str] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def stream(self) -> str:
        return stream_of(self.benchmark_id, self.job_id)

    def publish(self, events: Sequence[Event], recorded_at: Sequence[int]) -> None:
        """Takes over events that were just recorded behind those that are in, and wakes who follows."""
        for event, at in zip(events, recorded_at, strict=True):
            self.version += 1
            self.state = evaljobs.evolve(self.state, event, at, self.version)
        self.wake()

    def wire(self) -> Job:
        return Job(self.job_id, self.state.status)

    def outcome(self) -> JobOutcome:
        return outcome_wire(self.job_id, self.state)

    async def ended(self, timeout_s: float | None = None) -> bool:
        """Returns when the job has ended, was parked by a shutdown, or the time is over: whether it has ended."""
        if self.task is not None and timeout_s != 0:
            await asyncio.wait([self.task], timeout=timeout_s)
        return not self.state.is_open

    async def changed(self, since_version: int, timeout_s: float) -> None:
        """Returns when something was recorded behind `since_version`, nothing more will be, or time is up."""
        if self.version > since_version or self.over:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await asyncio.wait([future], timeout=timeout_s)
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def end(self) -> None:
        self.over = True
        self.wake()

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def request_stop(self, stop: Stop, reason: str) -> None:
        """Only a task that has begun can be cancelled and still record the end; one that has not sees `stopping`
        when it does. A cancel that comes while the job is being parked is too late."""
        if self.stopping is None and self.task is not None and not self.task.done():
            self.stopping = (stop, reason)
            if self.begun:
                self.task.cancel()


def stream_of(benchmark_id: str, job_id: str) -> str:
    return stream_name("evaljob", f"{benchmark_id}/{job_id}")


def outcome_wire(job_id: str, state: EvalJobState) -> JobOutcome:
    scheduled, error = state.scheduled, state.error
    assert scheduled is not None
    return JobOutcome(
        job_id=job_id,
        status=state.status,
        usage=wire.usage(state.usage),
        error=Error(error.status, error.title, error.detail) if error else None,
        num_rows=scheduled.num_rows,
        num_done=len(state.done),
        num_failed=state.failed,
        dataset_id=scheduled.dataset_id or None,
        dataset_version=scheduled.dataset_version or None,
        agent_id=scheduled.agent_id or None,
        created_at=rfc3339(state.scheduled_at),
        completed_at=rfc3339(state.ended_at) if state.ended_at else None,
    )
