"""Evaluation jobs: the state that their events fold to, and the allowed requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from schemas.api.evaljob import JobStatus
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
from schemas.events.payload import TurnError, TurnUsage
from schemas.events.turn import Owner
from stack.domain.row_set import RowSet
from stack.errors import Invalid, NotFound

NO_OWNER = Owner("", "")


class EvalJobState(Struct, frozen=True, kw_only=True):
    """A job. Times are microseconds since 1970, 0 if not reached yet. Of its rows it holds only which are
    `done` and how many of them `failed`; their results are in their events. `starts_without_progress` counts
    the starts since the last evaluated row."""

    scheduled: EvalJobScheduled | None = None
    status: JobStatus = "scheduled"
    owner: Owner = NO_OWNER
    attempt: int = 0
    starts_without_progress: int = 0
    trace_id: str = ""
    scheduled_at: int = 0
    ended_at: int = 0
    done: RowSet = RowSet()
    failed: int = 0
    first_error: TurnError | None = None
    usage: TurnUsage = TurnUsage()
    cancel_reason: str = ""
    aggregates: Mapping[str, Mapping[str, Any]] = {}
    error: TurnError | None = None

    @property
    def is_open(self) -> bool:
        return self.scheduled is not None and not self.ended_at

    @property
    def num_rows(self) -> int:
        return self.scheduled.num_rows if self.scheduled else 0


def evolve(state: EvalJobState, event: Event, recorded_at: int, version: int) -> EvalJobState:
    match event:
        case EvalJobRowEvaluated():
            return _row_evaluated(state, event)
        case EvalJobScheduled():
            return EvalJobState(scheduled=event, scheduled_at=recorded_at, trace_id=event.trace_id)
        case EvalJobStarted(owner=owner, attempt=attempt):
            return replace(
                state,
                status="in_progress",
                owner=owner,
                attempt=attempt,
                starts_without_progress=state.starts_without_progress + 1,
            )
        case EvalJobCancelRequested(reason=reason):
            return replace(state, cancel_reason=reason)
        case EvalJobCompleted(aggregates=aggregates):
            return replace(state, status="completed", ended_at=recorded_at, aggregates=aggregates)
        case EvalJobFailed(error=error, aggregates=aggregates):
            return replace(state, status="failed", ended_at=recorded_at, error=error, aggregates=aggregates)
        case EvalJobCancelled(reason=reason, aggregates=aggregates):
            return replace(
                state, status="cancelled", ended_at=recorded_at, cancel_reason=reason, aggregates=aggregates
            )
    return state


def _row_evaluated(state: EvalJobState, event: EvalJobRowEvaluated) -> EvalJobState:
    return replace(
        state,
        starts_without_progress=0,
        done=state.done.added(event.row),
        failed=state.failed + (event.error is not None),
        first_error=state.first_error or event.error,
        usage=state.usage.plus(event.usage),
    )


def existing(state: EvalJobState, benchmark_id: str, job_id: str) -> EvalJobState:
    """Returns the job. Raises NotFound if it never existed, or was redacted with its benchmark."""
    if state.scheduled is None:
        raise NotFound(f"There is no job {job_id!r} of benchmark {benchmark_id!r}.")
    return state


def num_rows(available: int, num_examples: int | None, where: str) -> int:
    """Returns the number of rows to evaluate. Raises Invalid if it is 0."""
    if num_examples is not None and num_examples < 1:
        raise Invalid(
            f"{where}.num_examples is {num_examples}; it must be 1 or more, or left out to evaluate all rows."
        )
    return available if num_examples is None else min(available, num_examples)


def start(state: EvalJobState, owner: Owner) -> list[Event]:
    return [EvalJobStarted(owner=owner, attempt=state.attempt + 1)]


def failed_row_error(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns why an answered row failed: no function could score it. Empty if at least one could."""
    errors = [str(score["error"]) for score in scores.values() if "error" in score]
    return errors[0] if errors and len(errors) == len(scores) else ""


def end(state: EvalJobState, aggregates: dict[str, dict[str, Any]]) -> Event:
    """Returns the end of a job whose rows are all done: failed if all of them failed."""
    if state.failed < state.num_rows or state.first_error is None:
        return EvalJobCompleted(aggregates=aggregates)
    first = state.first_error
    detail = f"All {state.num_rows} rows failed. The first failure: {first.detail}"
    return EvalJobFailed(error=TurnError(first.status, first.title, detail), aggregates=aggregates)
