"""One evaluation job while it runs: evaluates rows concurrently, records their results together, and ends the
job.

Only the run appends to its job's stream, so that rows never conflict with each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.evaljob import EvalJobCancelled, EvalJobCancelRequested, EvalJobFailed
from schemas.events.payload import TurnError
from stack.domain import benchmark as benchmarks
from stack.domain import evaljob as evaljobs
from stack.errors import InternalError, ReplaystackError
from stack.eventstore import StreamWrite, stream_name
from stack.runs.run import Stop
from stack.runs.runs import Runs, Superseded
from stack.services.evals.eval_rows import MissingRows
from stack.services.evals.evaljob_aggregates import aggregates_of
from stack.services.evals.row_evaluator import RowEvaluator
from stack.services.evals.running_job import RunningJob
from stack.services.requests.caller import Caller
from stack.services.scoring.scoring import Scoring
from stack.services.state import States

logger = logging.getLogger("replaystack.eval")

MAX_FINISHED = 512
"""Maximum number of rows that wait to be recorded; no further one is started until they are."""


class Work(Struct, frozen=True):
    """The resources of a job, known once it runs."""

    rows: MissingRows
    evaluator: RowEvaluator


Prepare = Callable[[], Awaitable[Work]]


class EvalJobRun:
    """`run` returns when the job has ended or was parked."""

    def __init__(
        self,
        job: RunningJob,
        caller: Caller,
        runs: Runs[RunningJob],
        prepare: Prepare,
        states: States,
        scoring: Scoring,
        concurrency: int,
    ) -> None:
        self._job = job
        self._caller = caller
        self._runs = runs
        self._prepare = prepare
        self._states = states
        self._scoring = scoring
        self._concurrency = concurrency
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._working = 0

    async def run(self) -> None:
        """Evaluates the missing rows. A failure that is not caused by a row ends the job, not the task."""
        job = self._job
        try:
            if job.state.cancel_reason:
                await self._cancelled(job.state.cancel_reason)
                return
            await self._record(evaljobs.start(job.state, self._runs.ownership.own))
            await self._evaluate(await self._prepare())
            missing = job.state.num_rows - len(job.state.done)
            if missing and not self._runs.closing:
                raise InternalError(f"The dataset did not give {missing} of the {job.state.num_rows} rows.")
            if not missing:
                await self._close(evaljobs.end(job.state, await self._aggregates()))
        except Superseded:
            raise
        except ReplaystackError as error:
            await self.fail(error)
        except Exception:
            logger.exception("job %s of %s failed unexpectedly", job.job_id, job.benchmark_id)
            await self.fail(InternalError("The job failed inside the server. Its log has the details."))

    async def stop(self, stop: Stop, reason: str) -> None:
        """Ends a job whose task was cancelled. The completed rows are recorded; a parked job stays open for
        the next start."""
        if not self._job.state.is_open:
            return
        if stop == "parked":
            await self._record()
        else:
            await self._record([EvalJobCancelRequested(reason=reason)])
            await self._cancelled(reason)

    async def fail(self, error: ReplaystackError) -> None:
        """Ends the job with this reason; the evaluated rows are kept."""
        reason = TurnError(error.status, error.title, error.detail)
        await self._close(EvalJobFailed(error=reason, aggregates=await self._aggregates()))

    async def _cancelled(self, reason: str) -> None:
        await self._close(EvalJobCancelled(reason=reason, aggregates=await self._aggregates()))

    async def _evaluate(self, work: Work) -> None:
        workers = min(self._concurrency, self._job.state.num_rows)
        self._working = workers
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(work))
                group.create_task(self._recorder())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await work.rows.aclose()

    async def _work(self, work: Work) -> None:
        try:
            while not self._runs.closing and (row := await work.rows.next()) is not None:
                self._job.outcomes.append(await work.evaluator.evaluate(row))
                self._changed.set()
                while len(self._job.outcomes) >= MAX_FINISHED:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._working -= 1
            self._changed.set()

    async def _recorder(self) -> None:
        """Records completed rows. While one append is running the next one is collected."""
        while self._working or self._job.outcomes:
            await self._changed.wait()
            self._changed.clear()
            await self._record()
            self._room.set()

    async def _aggregates(self) -> dict[str, dict[str, Any]]:
        await self._record()
        scheduled = self._job.state.scheduled
        assert scheduled is not None
        return await aggregates_of(self._job.store, self._job.stream, scheduled, self._scoring)

    async def _record(self, events: Sequence[Event] = ()) -> None:
        """Records the completed rows, then these events."""
        await self._runs.record(self._job, self._caller.stamp, events)

    async def _close(self, event: Event) -> None:
        """Records the end, also in the benchmark's stream."""
        await self._runs.record(self._job, self._caller.stamp, [event], partial(self._closing, event))

    async def _closing(self, event: Event) -> Sequence[StreamWrite]:
        job = self._job
        ended = evaljobs.evolve(job.state, event, 1, 0)
        closed = self._caller.stamp(benchmarks.close_job(job.job_id, ended.status))
        _, version = await self._states.benchmark(job.benchmark_id)
        return [StreamWrite(stream_name("benchmark", job.benchmark_id), version, closed)]
