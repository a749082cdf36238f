"""Drives the evaluation jobs of this process, a limited number at a time."""

from __future__ import annotations

import asyncio
from functools import partial

from msgspec import Struct

from projections import wire
from schemas.api.scoring_function import ScoringFnParams
from schemas.events.evaljob import EvalJobScheduled
from stack.domain.benchmark import is_number
from stack.errors import InternalError, Invalid, Unavailable
from stack.runs.runs import Runs
from stack.services.datasets.dataset import DatasetService
from stack.services.evals.candidate import agent_of
from stack.services.evals.candidates import Candidates
from stack.services.evals.eval_rows import MissingRows
from stack.services.evals.evaljob_run import EvalJobRun, Work
from stack.services.evals.row_evaluator import RowEvaluator, RowLimits
from stack.services.evals.running_job import RunningJob
from stack.services.requests.caller import Caller
from stack.services.scoring.scoring import Scoring
from stack.services.state import States
from telemetry.own import conventions as names
from telemetry.own.tracing import Tracing

MAX_JOBS = 2_000


class EvalLimits(Struct, frozen=True, kw_only=True):
    """The settings with the same names."""

    eval_concurrency: int = 8
    eval_row_attempts: int = 3
    eval_running_jobs: int = 4
    restart_limit: int = 3
    turn_deadline_s: float = 1800.0


class EvalJobDriver:
    """`runs` holds the jobs that are scheduled or running in this process."""

    def __init__(
        self,
        runs: Runs[RunningJob],
        candidates: Candidates,
        states: States,
        datasets: DatasetService,
        scoring: Scoring,
        tracing: Tracing,
        limits: EvalLimits,
    ) -> None:
        self.runs = runs
        self.candidates = candidates
        self._states = states
        self._datasets = datasets
        self._scoring = scoring
        self._tracing = tracing
        self._limits = limits
        # Rows for which a caller waits are not queued after jobs that take hours.
        self._places = {
            True: asyncio.Semaphore(limits.eval_running_jobs),
            False: asyncio.Semaphore(limits.eval_running_jobs),
        }

    def refuse_if_closing(self) -> None:
        """Raises Unavailable if no further job can be scheduled."""
        if self.runs.closing:
            raise Unavailable("The server is shutting down; try again.", retry_after=5)
        running = len(self.runs.running)
        if running >= MAX_JOBS:
            raise Unavailable(f"{running} jobs are scheduled or running; try again.", retry_after=30)

    def launch(self, job: RunningJob, caller: Caller, *, left: bool = False) -> None:
        """Starts the run of an open job in the background, as soon as the limit allows it. `left` means that
        an earlier process left it open."""
        run = EvalJobRun(
            job,
            caller,
            self.runs,
            partial(self._prepare, job, caller, left),
            self._states,
            self._scoring,
            self._limits.eval_concurrency,
        )
        work = partial(self._run, job, run, caller, left)
        self.runs.launch(job, self.runs.drive(job, work, run.stop))

    async def _run(self, job: RunningJob, run: EvalJobRun, caller: Caller, left: bool) -> None:
        async with self._places[is_number(job.job_id)]:
            if not self.runs.closing:
                await self._traced(job, run, caller, left)

    async def _traced(self, job: RunningJob, run: EvalJobRun, caller: Caller, left: bool) -> None:
        attributes = labels_of(job) | {names.GEN_AI_REQUEST_MODEL: model_of(job)}
        with self._tracing.span(
            f"evaluate {job.benchmark_id}",
            attributes=attributes,
            traceparent=caller.traceparent,
            tracestate=caller.tracestate,
        ) as span:
            if left and job.state.starts_without_progress > self._limits.restart_limit:
                await run.fail(
                    InternalError("The job was interrupted too often without a further row done in between.")
                )
            else:
                await run.run()
            if job.state.error is not None:
                span.fail(str(job.state.error.status))

    async def _prepare(self, job: RunningJob, caller: Caller, left: bool) -> Work:
        """Raises Invalid for a model that no longer exists, and for features that this release does not
        support."""
        scheduled = job.state.scheduled
        assert scheduled is not None
        evaluator = RowEvaluator(
            await self.candidates.of_job(job, left),
            self._scoring,
            _scoring_params(scheduled),
            self._tracing,
            RowLimits(
                eval_row_attempts=self._limits.eval_row_attempts,
                turn_deadline_s=self._limits.turn_deadline_s,
            ),
            caller,
            labels_of(job),
        )
        return Work(MissingRows(self._datasets, job.state), evaluator)


def labels_of(job: RunningJob) -> dict[str, str]:
    """Returns the attributes by which its spans are found."""
    labels = {"benchmark_id": job.benchmark_id, "job_id": job.job_id}
    if job.state.scheduled is not None and job.state.scheduled.dataset_id:
        labels["dataset_id"] = job.state.scheduled.dataset_id
    return labels


def model_of(job: RunningJob) -> str:
    scheduled = job.state.scheduled
    assert scheduled is not None
    return agent_of(scheduled.config.eval_candidate).model


def _scoring_params(scheduled: EvalJobScheduled) -> dict[str, ScoringFnParams | None]:
    """Returns the parameters of each function, None for the function's own. Raises Invalid for a type that
    this release does not know."""
    stored = scheduled.config.scoring_params or {}
    params = {name: wire.scoring_params(one) for name, one in stored.items()}
    for name, one in params.items():
        if one is None:
            raise Invalid(
                f"scoring_params of {name!r} have the type {stored[name].type!r}, which this release does not know."
            )
    return {name: params.get(name) for name in scheduled.scoring_functions}
