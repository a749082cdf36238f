"""The frames of a job's progress, one for each of its events, read from its stream: live and afterwards alike.

The log is read a page at a time, so that a reader costs the job nothing, and the server no memory however many rows
there are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from projections import wire
from schemas.api.error import Error
from schemas.api.evaljob import (
    CancelRequestedPayload,
    JobCancelledPayload,
    JobCompletedPayload,
    JobFailedPayload,
    JobPayload,
    JobScheduledPayload,
    JobStartedPayload,
    JobStreamChunk,
    RowEvaluatedPayload,
)
from schemas.events.base import Event, Redacted
from schemas.events.evaljob import (
    EvalJobCancelled,
    EvalJobCancelRequested,
    EvalJobCompleted,
    EvalJobFailed,
    EvalJobRowEvaluated,
    EvalJobScheduled,
    EvalJobStarted,
)
from schemas.events.payload import TurnError
from stack.eventstore import EventStore, Recorded
from stack.services.evals.running_job import RunningJob, stream_of

PAGE_EVENTS = 200
ENDS = (EvalJobCompleted, EvalJobFailed, EvalJobCancelled, Redacted)

_encode = msgspec.json.Encoder().encode


class EvalJobFrames:
    """Reads the frames of jobs."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def has_frames(self, benchmark_id: str, job_id: str, after_version: int) -> bool:
        """Whether the log has events of the job after this version."""
        stream = stream_of(benchmark_id, job_id)
        return bool(await self._store.read_stream(stream, after_version, after_version + 1))

    async def follow(
        self, benchmark_id: str, job_id: str, job: RunningJob | None, after_version: int, keep_alive_s: float
    ) -> AsyncGenerator[bytes, None]:
        """Frames behind `after_version`, as they come, to the end of the job; empty bytes after each silence of
        `keep_alive_s`. `job` is the running job, None where it has ended."""
        stream = stream_of(benchmark_id, job_id)
        while True:
            page = await self._store.read_stream(stream, after_version, after_version + PAGE_EVENTS)
            if page:
                yield b"".join(map(_frame, page))
                after_version = page[-1].version
                if isinstance(page[-1].event, ENDS):
                    return
            elif job is None or job.over:
                return
            else:
                await job.changed(after_version, keep_alive_s)
                if job.version <= after_version and not job.over:
                    yield b""


def _frame(recorded: Recorded) -> bytes:
    payload = payload_of(recorded.event)
    if payload is None:
        return b""
    return b"id: %d.0\ndata: %b\n\n" % (recorded.version, _encode(JobStreamChunk(payload)))


def payload_of(event: Event) -> JobPayload | None:
    """What the frame of an event says; None for one whose content was redacted."""
    match event:
        case EvalJobScheduled():
            return JobScheduledPayload(
                event.num_rows, event.dataset_id or None, event.dataset_version or None
            )
        case EvalJobStarted():
            return JobStartedPayload(event.attempt)
        case EvalJobRowEvaluated():
            return _row(event)
        case EvalJobCancelRequested():
            return CancelRequestedPayload(event.reason)
        case EvalJobCompleted():
            return JobCompletedPayload(event.aggregates)
        case EvalJobFailed():
            return JobFailedPayload(_error(event.error))
        case EvalJobCancelled():
            return JobCancelledPayload(event.reason)
    return None


def _row(event: EvalJobRowEvaluated) -> RowEvaluatedPayload:
    generation = {"generated_answer": event.generation.generated_answer}
    if event.generation.error:
        generation["error"] = event.generation.error
    return RowEvaluatedPayload(
        row=event.row,
        generation=generation,
        scores=event.scores,
        attempts=event.attempts,
        duration_ms=event.duration_ms,
        usage=wire.usage(event.usage),
        error=_error(event.error) if event.error else None,
        session_id=event.session_id or None,
        turn_id=event.turn_id or None,
    )


def _error(error: TurnError) -> Error:
    return Error(error.status, error.title, error.detail)
