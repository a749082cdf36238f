"""Training jobs: the state that their events fold to, and the allowed requests."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from schemas.api.evaljob import JobStatus
from schemas.events.base import Event
from schemas.events.payload import TurnError
from schemas.events.trainjob import (
    TrainJobCancelled,
    TrainJobCancelRequested,
    TrainJobCheckpointSaved,
    TrainJobCompleted,
    TrainJobEpochDone,
    TrainJobFailed,
    TrainJobPrepared,
    TrainJobScheduled,
    TrainJobStarted,
    TrainJobStepsDone,
)
from schemas.events.turn import Owner
from stack.domain.chosen_id import check_chosen_id
from stack.errors import Invalid

NO_OWNER = Owner("", "")
_CHECKPOINT = re.compile(r"(.+)-epoch-([1-9][0-9]*)", re.DOTALL)


class TrainJobState(Struct, frozen=True, kw_only=True):
    """A job. Times are microseconds since 1970, 0 if not reached yet. `step` is the last step done in this
    attempt; `epochs_done` and `steps_done` are those of the last checkpoint, from which an attempt starts.
    `starts_without_progress` counts the starts since then."""

    scheduled: TrainJobScheduled | None = None
    status: JobStatus = "scheduled"
    owner: Owner = NO_OWNER
    attempt: int = 0
    starts_without_progress: int = 0
    trace_id: str = ""
    scheduled_at: int = 0
    ended_at: int = 0
    step: int = 0
    total_steps: int = 0
    epochs_done: int = 0
    steps_done: int = 0
    last_epoch: TrainJobEpochDone | None = None
    cancel_reason: str = ""
    error: TurnError | None = None

    @property
    def is_open(self) -> bool:
        return self.scheduled is not None and not self.ended_at


def evolve(state: TrainJobState, event: Event, recorded_at: int, version: int) -> TrainJobState:
    match event:
        case TrainJobStepsDone(first_step=first_step, losses=losses):
            return replace(state, step=first_step + len(losses) - 1)
        case TrainJobEpochDone():
            return replace(state, last_epoch=event)
        case TrainJobCheckpointSaved(epoch=epoch, step=step):
            return replace(state, epochs_done=epoch, steps_done=step, starts_without_progress=0)
        case TrainJobScheduled():
            return TrainJobState(scheduled=event, scheduled_at=recorded_at, trace_id=event.trace_id)
        case TrainJobStarted(owner=owner, attempt=attempt):
            return replace(
                state,
                status="in_progress",
                owner=owner,
                attempt=attempt,
                step=state.steps_done,
                starts_without_progress=state.starts_without_progress + 1,
            )
        case TrainJobPrepared(total_steps=total_steps):
            return replace(state, total_steps=total_steps)
        case TrainJobCancelRequested(reason=reason):
            return replace(state, cancel_reason=reason)
        case TrainJobCompleted():
            return replace(state, status="completed", ended_at=recorded_at)
        case TrainJobFailed(error=error):
            return replace(state, status="failed", ended_at=recorded_at, error=error)
        case TrainJobCancelled(reason=reason):
            return replace(state, status="cancelled", ended_at=recorded_at, cancel_reason=reason)
    return state


def check_id(job_uuid: str) -> None:
    """Raises Invalid for an id that cannot be part of a path."""
    check_chosen_id(job_uuid, "job_uuid")
    if "/" in job_uuid:
        raise Invalid(f"job_uuid is {job_uuid!r}; it may not hold a slash.")


def start(state: TrainJobState, owner: Owner) -> list[Event]:
    return [TrainJobStarted(owner=owner, attempt=state.attempt + 1)]


def checkpoint_identifier(job_uuid: str, epoch: int) -> str:
    """Returns the name under which the checkpoint of an epoch is a model."""
    return f"{job_uuid}-epoch-{epoch}"


def job_of_checkpoint(identifier: str) -> str:
    """Returns the job whose checkpoint may have this name; empty if it is not the name of one."""
    found = _CHECKPOINT.fullmatch(identifier)
    return found[1] if found else ""
