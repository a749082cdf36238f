"""Drives the evaluation jobs of this process: so many at a time, with what each works with."""

from __future__ import annotations

import asyncio
from functools import partial

from msgspec import Struct

from projections import wire
from schemas.api.eval import EvalCandidate as RequestedCandidate
from schemas.api.eval import ModelCandidate
from schemas.api.scoring_function import ScoringFnParams
from schemas.events.evaljob import EvalJobScheduled
from schemas.events.payload import EvalCandidate
from stack.domain import payload
from stack.domain.agent import sampling_params
from stack.domain.benchmark import is_number
from stack.errors import InternalError, Invalid, Unavailable
from stack.eventstore import EventStore
from stack.providers.inference.registry import Models
from stack.runs.runs import Runs
from stack.services.agents.agent import AgentService
from stack.services.agents.session import SessionService
from stack.services.datasets.dataset import DatasetService
from stack.services.effects import Effects
from stack.services.evals.agent_candidate import AgentAnswers
from stack.services.evals.candidate import WHERE, Candidate, ModelAnswers, agent_of
from stack.services.evals.eval_rows import MissingRows
from stack.services.evals.evaljob_run import EvalJobRun, Work
from stack.services.evals.row_evaluator import RowEvaluator, RowLimits
from stack.services.evals.running_job import RunningJob
from stack.services.requests.caller import Caller
from stack.services.scoring.scoring import Scoring
from stack.services.state import States
from stack.services.turns.content import ContentLoader
from stack.services.turns.turn import TurnService, check_capabilities
from telemetry.own import conventions as names
from telemetry.own.tracing import Tracing

MAX_JOBS = 2_000


class EvalLimits(Struct, frozen=True, kw_only=True):
    """Settings of the same names."""

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
        store: EventStore,
        states: States,
        datasets: DatasetService,
        models: Models,
        agents: AgentService,
        sessions: SessionService,
        turns: TurnService,
        scoring: Scoring,
        effects: Effects,
        content: ContentLoader,
        tracing: Tracing,
        limits: EvalLimits,
    ) -> None:
        self.runs = runs
        self._store = store
        self._states = states
        self._datasets = datasets
        self._models = models
        self._agents = agents
        self._sessions = sessions
        self._turns = turns
        self._scoring = scoring
        self._effects = effects
        self._content = content
        self._tracing = tracing
        self._limits = limits
        # Rows that a caller waits for do not queue up behind jobs that take hours.
        self._places = {
            True: asyncio.Semaphore(limits.eval_running_jobs),
            False: asyncio.Semaphore(limits.eval_running_jobs),
        }

    def refuse_if_closing(self) -> None:
        """Raises Unavailable when no further job can be scheduled."""
        if self.runs.closing:
            raise Unavailable("The server is shutting down; try again.", retry_after=5)
        running = len(self.runs.running)
        if running >= MAX_JOBS:
            raise Unavailable(f"{running} jobs are scheduled or running; try again.", retry_after=30)

    async def checked_candidate(self, candidate: RequestedCandidate) -> EvalCandidate:
        """The candidate, normalised, as it is stored. Raises Invalid for an unknown model and for what it cannot do."""
        if isinstance(candidate, ModelCandidate):
            params = sampling_params(candidate.sampling_params, f"{WHERE}.sampling_params")
            normal = payload.model_candidate(candidate, payload.sampling_params(params))
        else:
            config = self._agents.normalised(candidate.config, f"{WHERE}.config")
            normal = EvalCandidate(type="agent", config=config)
        config = agent_of(normal)
        provider, _ = await self._models.resolve(config.model)
        check_capabilities(config, provider, WHERE)
        return normal

    def launch(self, job: RunningJob, caller: Caller, *, left: bool = False) -> None:
        """Starts the run of an open job in the background, as soon as there is a place for it. `left` by an earlier
        process."""
        run = EvalJobRun(
            job,
            caller,
            self.runs,
            partial(self._prepare, job, caller, left),
            self._store,
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
            if left and job.state.barren > self._limits.restart_limit:
                await run.fail(
                    InternalError("The job was interrupted too often without a further row done in between.")
                )
            else:
                await run.run()
            if job.state.error is not None:
                span.fail(str(job.state.error.status))

    async def _prepare(self, job: RunningJob, caller: Caller, left: bool) -> Work:
        """Raises Invalid for a model that is gone since the job was scheduled, and for what this release cannot do."""
        scheduled = job.state.scheduled
        assert scheduled is not None
        evaluator = RowEvaluator(
            await self._candidate(job, scheduled, left),
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

    async def _candidate(self, job: RunningJob, scheduled: EvalJobScheduled, left: bool) -> Candidate:
        candidate = scheduled.config.eval_candidate
        if candidate.type == "model":
            provider, model = await self._models.resolve(candidate.model or "")
            return ModelAnswers(candidate, provider, model, self._effects, self._content)
        if candidate.type != "agent":
            raise Invalid(f"{WHERE} has the type {candidate.type!r}, which this release does not know.")
        return AgentAnswers(
            scheduled.agent_id,
            f"{job.benchmark_id}/{job.job_id}",
            self._store,
            self._sessions,
            self._turns,
            is_cancelled=lambda: job.stopping is not None and job.stopping[0] == "cancelled",
            look_for_earlier=left,
        )


def labels_of(job: RunningJob) -> dict[str, str]:
    """The names by which its spans are found."""
    labels = {"benchmark_id": job.benchmark_id, "job_id": job.job_id}
    if job.state.scheduled is not None and job.state.scheduled.dataset_id:
        labels["dataset_id"] = job.state.scheduled.dataset_id
    return labels


def model_of(job: RunningJob) -> str:
    scheduled = job.state.scheduled
    assert scheduled is not None
    return agent_of(scheduled.config.eval_candidate).model


def _scoring_params(scheduled: EvalJobScheduled) -> dict[str, ScoringFnParams | None]:
    """The parameters of each function, None for the function's own. Raises Invalid for a type that this release does
    not know."""
    stored = scheduled.config.scoring_params or {}
    params = {name: wire.scoring_params(one) for name, one in stored.items()}
    for name, one in params.items():
        if one is None:
            raise Invalid(
                f"scoring_params of {name!r} have the type {stored[name].type!r}, which this release does not know."
            )
    return {name: params.get(name) for name in scheduled.scoring_functions}
