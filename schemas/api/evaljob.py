"""Jobs of a benchmark: their status, and their progress as a stream (spec tag: Eval)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.error import Error
from schemas.api.turn import TurnUsage

JobStatus = Literal["completed", "in_progress", "failed", "scheduled", "cancelled"]


class Job(Struct, frozen=True):
    """A job. `job_id` is the job's number within its benchmark, as text."""

    job_id: str
    status: JobStatus


class JobOutcome(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The status of a job, or how it ended. Not part of the Llama Stack specification: `GET
    .../jobs/{job_id}/outcome`.

    `dataset_id` and `dataset_version` identify the evaluated rows; they are absent if the rows were sent with
    the request. `num_done` counts the evaluated rows, `num_failed` those of them that failed. `agent_version` is the
    version of the agent that answers, which later updates of the agent do not change.
    """

    job_id: str
    status: JobStatus
    usage: TurnUsage
    num_rows: int
    num_done: int
    num_failed: int
    error: Error | None = None
    dataset_id: str | None = None
    dataset_version: int | None = None
    agent_id: str | None = None
    agent_version: int | None = None
    created_at: str | None = None
    completed_at: str | None = None


class JobScheduledPayload(Struct, frozen=True, tag_field="event_type", tag="scheduled", omit_defaults=True):
    """The job was scheduled; it will evaluate `num_rows` rows."""

    num_rows: int
    dataset_id: str | None = None
    dataset_version: int | None = None


class JobStartedPayload(Struct, frozen=True, tag_field="event_type", tag="started"):
    """The job was started. `attempt` counts from 1; a higher number means a restart after a crash or a
    shutdown."""

    attempt: int


class RowEvaluatedPayload(
    Struct, frozen=True, tag_field="event_type", tag="row_evaluated", omit_defaults=True, kw_only=True
):
    """One evaluated row; row numbers count from 0. `scores` holds a score row for each function."""

    row: int
    generation: dict[str, Any]
    scores: dict[str, dict[str, Any]]
    attempts: int
    duration_ms: int
    usage: TurnUsage
    error: Error | None = None
    session_id: str | None = None
    turn_id: str | None = None


class CancelRequestedPayload(Struct, frozen=True, tag_field="event_type", tag="cancel_requested"):
    reason: str


class JobCompletedPayload(Struct, frozen=True, tag_field="event_type", tag="completed"):
    """The job completed. `aggregated_results` maps each function to its results."""

    aggregated_results: dict[str, dict[str, Any]]


class JobFailedPayload(Struct, frozen=True, tag_field="event_type", tag="failed"):
    error: Error


class JobCancelledPayload(Struct, frozen=True, tag_field="event_type", tag="cancelled"):
    reason: str


JobPayload = (
    JobScheduledPayload
    | JobStartedPayload
    | RowEvaluatedPayload
    | CancelRequestedPayload
    | JobCompletedPayload
    | JobFailedPayload
    | JobCancelledPayload
)


class JobStreamChunk(Struct, frozen=True):
    """One frame of a job's progress. Not part of the Llama Stack specification: `GET .../jobs/{job_id}/events`."""

    event: JobPayload
