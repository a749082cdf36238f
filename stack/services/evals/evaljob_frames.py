"""The frames of a job's progress, one for each of its events."""

from __future__ import annotations

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
from schemas.events.base import Event
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


def chunk_of(event: Event) -> JobStreamChunk | None:
    """Returns the content of an event's frame; None if the event's content was redacted."""
    payload = payload_of(event)
    return None if payload is None else JobStreamChunk(payload)


def payload_of(event: Event) -> JobPayload | None:
    """Returns the content of an event's frame; None if the event's content was redacted."""
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
