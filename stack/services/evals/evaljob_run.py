"""One evaluation job while it runs: rows concurrently, their results recorded together, and an end.

A run is the only one that appends to its job's stream, so that rows never get in each other's way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.evaljob import (
    EvalJobCancelled,
    EvalJobCancelRequested,
    EvalJobFailed,
    EvalJobRowEvaluated,
)
from schemas.events.payload import TurnError
from schemas.events.turn import Owner
from stack.domain import benchmark as benchmarks
from stack.domain import evaljob as evaljobs
from stack.errors import InternalError, ReplaystackError, Unavailable, VersionConflict
from stack.eventstore import Append, Appended, EventStore, StreamWrite, stream_name
from stack.services.evals.eval_rows import MissingRows
from stack.services.evals.evaljob_aggregates import aggregates_of
from stack.services.evals.row_evaluator import RowEvaluator
from stack.services.evals.running_job import RunningJob
from stack.services.requests.caller import Caller
from stack.services.requests.uninterrupted import uninterrupted
from stack.services.scoring.scoring import Scoring
from stack.services.state import States

logger = logging.getLogger("replaystack.eval")

RECORD_RETRY_S = (0.05, 0.2, 1.0, 2.0)
MAX_FINISHED = 512
"""Rows that may wait to be recorded; no further one begins until they are."""


class Superseded(Exception):
    """Somebody else wrote to the job's stream: this run has nothing left to say."""


class Work(Struct, frozen=True):
    """What a job works with, known once it runs."""

    rows: MissingRows
    evaluator: RowEvaluator


Prepare = Callable[[], Awaitable[Work]]


class EvalJobRun:
    """`run` returns when the job has ended or was parked."""

    def __init__(
        self,
        job: RunningJob,
        caller: Caller,
        owner: Owner,
        prepare: Prepare,
        store: EventStore,
        states: States,
        scoring: Scoring,
        concurrency: int,
    ) -> None:
        self._job = job
        self._caller = caller
        self._owner = owner
        self._prepare = prepare
        self._store = store
        self._states = states
        self._scoring = scoring
        self._concurrency = concurrency
        self._finished: list[EvalJobRowEvaluated] = []
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._working = 0

    async def run(self) -> None:
        """Evaluates the rows that are missing. A failure that is not a row's ends the job, not the task."""
        job = self._job
        try:
            if job.state.cancel_reason:
                await self._cancelled(job.state.cancel_reason)
                return
            await self._record(evaljobs.start(job.state, self._owner))
            await self._evaluate(await self._prepare())
            missing = job.state.num_rows - len(job.state.done)
            if missing and not job.parking:
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

    async def stop(self) -> None:
        """Ends a job whose task was cancelled in the middle. What is finished is recorded; a parked job stays open
        for the next start."""
        stop, reason = self._job.stopping or ("parked", "")
        if not self._job.state.is_open:
            return
        if stop == "parked":
            await self._record_finished()
        else:
            await self._record([*self._taken(), EvalJobCancelRequested(reason=reason)])
            await self._cancelled(reason)

    async def fail(self, error: ReplaystackError) -> None:
        """Ends the job with this reason; the rows that were evaluated are kept."""
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
            while not self._job.parking and (row := await work.rows.next()) is not None:
                evaluated = await work.evaluator.evaluate(row)
                self._finished.append(evaluated)
                self._changed.set()
                while len(self._finished) >= MAX_FINISHED:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._working -= 1
            self._changed.set()

    async def _recorder(self) -> None:
        """Records what is finished. While one append is under way the next one gathers."""
        while self._working or self._finished:
            await self._changed.wait()
            self._changed.clear()
            await self._record_finished()
            self._room.set()

    async def _record_finished(self) -> None:
        while self._finished:
            await self._record(self._taken())

    def _taken(self) -> list[Event]:
        finished, self._finished = self._finished, []
        return [*finished]

    async def _aggregates(self) -> dict[str, dict[str, Any]]:
        await self._record_finished()
        scheduled = self._job.state.scheduled
        assert scheduled is not None
        return await aggregates_of(self._store, self._job.stream, scheduled, self._scoring)

    async def _record(self, events: Sequence[Event]) -> None:
        await self._append(events, lambda: self._appended(events, ()))

    async def _close(self, event: Event) -> None:
        """Records the end, in the benchmark's stream too."""
        await self._record_finished()
        await self._append([event], lambda: self._appended_end(event))

    async def _append(self, events: Sequence[Event], append: Callable[[], Any]) -> None:
        """Appends, waiting out a log that cannot take events for the moment (a full disk)."""
        attempt = 0
        while True:
            try:
                await uninterrupted(append())
                return
            except Unavailable as error:
                if self._job.stopping and not self._job.ending:
                    # The stop came while the append was under way, and its refusal took the place of the stop.
                    self._put_back(events)
                    raise asyncio.CancelledError from error
                logger.warning("job %s waits for the event log: %s", self._job.stream, error.detail)
                try:
                    await asyncio.sleep(RECORD_RETRY_S[min(attempt, len(RECORD_RETRY_S) - 1)])
                except asyncio.CancelledError:
                    self._put_back(events)
                    raise
                attempt += 1
            except VersionConflict as error:
                raise Superseded from error

    def _put_back(self, events: Sequence[Event]) -> None:
        self._finished[:0] = [event for event in events if isinstance(event, EvalJobRowEvaluated)]

    async def _appended(self, events: Sequence[Event], others: Sequence[StreamWrite]) -> Appended:
        stamped = self._caller.stamp(events)
        write = StreamWrite(self._job.stream, self._job.version, stamped)
        appended = await self._store.append(Append((write, *others)))
        self._job.publish(events, appended.recorded_at[: len(events)])
        return appended

    async def _appended_end(self, event: Event) -> Appended:
        job = self._job
        ended = evaljobs.evolve(job.state, event, 1, 0)
        closed = self._caller.stamp(benchmarks.close_job(job.job_id, ended.status))
        stream = stream_name("benchmark", job.benchmark_id)
        while True:
            _, version = await self._states.benchmark(job.benchmark_id)
            try:
                return await self._appended([event], [StreamWrite(stream, version, closed)])
            except VersionConflict as error:
                # Another job of the benchmark was scheduled or has ended.
                if error.stream != stream:
                    raise
