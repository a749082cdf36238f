"""Jobs of a benchmark: how they stand, and their progress as a stream (spec tag: Eval)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.error import Error
from schemas.api.turn import TurnUsage

JobStatus = Literal["completed", "in_progress", "failed", "scheduled", "cancelled"]


class Job(Struct, frozen=True):
    """`job_id` is the job's number within its benchmark, as text."""

    job_id: str
    status: JobStatus


class JobOutcome(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a job stands or ended. Not part of the Llama Stack specification: `GET .../jobs/{job_id}/outcome`.

    `dataset_id` and `dataset_version` say which rows are evaluated; they are absent where the rows came with the
    request. `num_done` counts the rows that are evaluated, `num_failed` those of them that failed.
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
    created_at: str | None = None
    completed_at: str | None = None


class JobScheduledPayload(Struct, frozen=True, tag_field="event_type", tag="scheduled", omit_defaults=True):
    """`num_rows` rows are to be evaluated."""

    num_rows: int
    dataset_id: str | None = None
    dataset_version: int | None = None


class JobStartedPayload(Struct, frozen=True, tag_field="event_type", tag="started"):
    """`attempt` counts from 1; a higher one is a start after a crash or a shutdown."""

    attempt: int


class RowEvaluatedPayload(
    Struct, frozen=True, tag_field="event_type", tag="row_evaluated", omit_defaults=True, kw_only=True
):
    """One row, by its number from 0. `scores` has a score row for each function."""

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
    """`aggregated_results` by function."""

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
