"""Events of `evaljob/<benchmark_id>/<job_id>`: a job, its rows one by one, and its end."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import BenchmarkConfig, TurnError, TurnUsage
from schemas.events.turn import Owner


class Generation(Struct, frozen=True, omit_defaults=True):
    """What the candidate answered to a row; `error` says why it did not."""

    generated_answer: str
    error: str = ""


class EvalJobScheduled(Event, frozen=True, tag="evaljob.scheduled.1"):
    """`num_rows` rows are evaluated: the first ones of the dataset at this version, or of `rows`, which came with the
    request (the JSON text of an array), and then there is no dataset. `config` is normalised. `agent_id` is the
    agent that was created with the job, where the candidate is one."""

    benchmark_id: str
    num_rows: int
    config: BenchmarkConfig
    scoring_functions: list[str]
    dataset_id: str = ""
    dataset_version: int = 0
    rows: str = ""
    agent_id: str = ""


class EvalJobStarted(Event, frozen=True, tag="evaljob.started.1"):
    """Rows are evaluated from here on. `attempt` counts from 1, one more for each crash or shutdown between."""

    owner: Owner
    attempt: int


class EvalJobRowEvaluated(Event, frozen=True, tag="evaljob.row_evaluated.1"):
    """The row number `row`, from 0. `input_digest` is the start of the SHA-256 (16 hex digits) of its text.

    `scores` has a score row for each function. `attempts` counts how often the candidate was asked, `duration_ms`
    is from the first time to the last score. `error` is there when the row failed. The row of an agent names the
    session and the turn in which it was answered.
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
    """No further row begins. After a crash the job is cancelled, not taken up again."""

    reason: str


class EvalJobCompleted(Event, frozen=True, tag="evaljob.completed.1"):
    """`aggregates` has the aggregated results of each function over all rows."""

    aggregates: dict[str, dict[str, Any]]


class EvalJobFailed(Event, frozen=True, tag="evaljob.failed.1"):
    """All rows failed, or the job could not go on. `aggregates` are over the rows that were evaluated."""

    error: TurnError
    aggregates: dict[str, dict[str, Any]] = {}


class EvalJobCancelled(Event, frozen=True, tag="evaljob.cancelled.1"):
    """`aggregates` are over the rows that were evaluated."""

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
