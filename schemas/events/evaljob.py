"""Events of `evaljob/<benchmark_id>/<job_id>`: a job, its rows one by one, and its end."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import BenchmarkConfig, TurnError, TurnUsage
from schemas.events.turn import Owner

AGENT_VERSION = 1
"""The version of the agent with which a job runs: that with which it was created."""


class Generation(Struct, frozen=True, omit_defaults=True):
    """The candidate's answer to a row; `error` is the reason if there is none."""

    generated_answer: str
    error: str = ""


class EvalJobScheduled(Event, frozen=True, tag="evaljob.scheduled.1"):
    """`num_rows` rows are evaluated: the first rows of the dataset at this version, or of `rows`, which were
    sent with the request (the JSON text of an array); in that case there is no dataset. `config` is
    normalised. `agent_id` is the agent that was created with the job, if the candidate is an agent."""

    benchmark_id: str
    num_rows: int
    config: BenchmarkConfig
    scoring_functions: list[str]
    dataset_id: str = ""
    dataset_version: int = 0
    rows: str = ""
    agent_id: str = ""


class EvalJobStarted(Event, frozen=True, tag="evaljob.started.1"):
    """The evaluation starts. `attempt` counts from 1 and increases with each crash or shutdown."""

    owner: Owner
    attempt: int


class EvalJobRowEvaluated(Event, frozen=True, tag="evaljob.row_evaluated.1"):
    """The evaluated row number `row`, from 0. `input_digest` is the first 16 hex digits of the SHA-256 of its
    text.

    `scores` holds a score row for each function. `attempts` is the number of requests to the candidate.
    `duration_ms` is the time from the first request to the last score, in milliseconds. `error` is present if
    the row failed. For an agent, the session and the turn of the answer are named.
    """

    row: int
    input_digest: str
    generation: Generation
    scores: dict[str, dict[str, Any]]
    attempts: int
    duration_ms: int
    usage: TurnUsage
    error: TurnError | None = None
    session_id: str = ""
    turn_id: str = ""


class EvalJobCancelRequested(Event, frozen=True, tag="evaljob.cancel_requested.1"):
    """No further row is started. After a crash the job is cancelled, not continued."""

    reason: str


class EvalJobCompleted(Event, frozen=True, tag="evaljob.completed.1"):
    """`aggregates` holds the aggregated results of each function over all rows."""

    aggregates: dict[str, dict[str, Any]]


class EvalJobFailed(Event, frozen=True, tag="evaljob.failed.1"):
    """All rows failed, or the job could not continue. `aggregates` cover the rows that were evaluated."""

    error: TurnError
    aggregates: dict[str, dict[str, Any]] = {}


class EvalJobCancelled(Event, frozen=True, tag="evaljob.cancelled.1"):
    """`aggregates` cover the rows that were evaluated."""

    reason: str
    aggregates: dict[str, dict[str, Any]] = {}


EVENTS = (
    EvalJobScheduled,
    EvalJobStarted,
    EvalJobRowEvaluated,
    EvalJobCancelRequested,
    EvalJobCompleted,
    EvalJobFailed,
    EvalJobCancelled,
)
EvalJobEvent = (
    EvalJobScheduled
    | EvalJobStarted
    | EvalJobRowEvaluated
    | EvalJobCancelRequested
    | EvalJobCompleted
    | EvalJobFailed
    | EvalJobCancelled
)
