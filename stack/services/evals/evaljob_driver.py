"""Drives the evaluation jobs of this process: so many at a time, each as one task, with what it works with."""

from __future__ import annotations

import asyncio
import logging

from msgspec import Struct

from projections import wire
from schemas.api.eval import EvalCandidate as RequestedCandidate
from schemas.api.eval import ModelCandidate
from schemas.api.scoring_function import ScoringFnParams
from schemas.events.evaljob import EvalJobScheduled
from schemas.events.payload import EvalCandidate
from schemas.events.turn import Owner
from stack.domain import payload
from stack.domain.agent import sampling_params
from stack.domain.benchmark import is_number
from stack.errors import InternalError, Invalid, Unavailable
from stack.eventstore import EventStore
from stack.providers.inference.registry import Models
from stack.services.agents.agent import AgentService
from stack.services.agents.session import SessionService
from stack.services.datasets.dataset import DatasetService
from stack.services.effects import Effects
from stack.services.evals.agent_candidate import AgentAnswers
from stack.services.evals.candidate import WHERE, Candidate, ModelAnswers, agent_of
from stack.services.evals.eval_rows import MissingRows
from stack.services.evals.evaljob_run import EvalJobRun, Superseded, Work
from stack.services.evals.row_evaluator import RowEvaluator, RowLimits
from stack.services.evals.running_job import RunningJob
from stack.services.requests.caller import Caller
from stack.services.scoring.scoring import Scoring
from stack.services.state import States
from stack.services.supervisor import Supervisor
from stack.services.turns.content import ContentLoader
from stack.services.turns.turn import TurnService, check_capabilities
from telemetry.own import conventions as names
from telemetry.own.tracing import Tracing

logger = logging.getLogger("replaystack.eval")

MAX_JOBS = 2_000
PAGE_EVENTS = 1_000


class EvalLimits(Struct, frozen=True, kw_only=True):
    """Settings of the same names."""

    eval_concurrency: int = 8
    eval_row_attempts: int = 3
    eval_running_jobs: int = 4
    restart_limit: int = 3
    turn_deadline_s: float = 1800.0


class EvalJobDriver:
    """`jobs` holds those that are scheduled or running in this process, by benchmark and id."""

    def __init__(
        self,
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
        supervisor: Supervisor,
        tracing: Tracing,
        owner: Owner,
        limits: EvalLimits,
    ) -> None:
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
        self._supervisor = supervisor
        self._tracing = tracing
        self._owner = owner
        self._limits = limits
        # Rows that a caller waits for do not queue up behind jobs that take hours.
        self._places = {
            True: asyncio.Semaphore(limits.eval_running_jobs),
            False: asyncio.Semaphore(limits.eval_running_jobs),
        }
        self._closing = False
        self.jobs: dict[tuple[str, str], RunningJob] = {}

    @property
    def closing(self) -> bool:
        """No job begins any more: the server is shutting down."""
        return self._closing

    def refuse_if_closing(self) -> None:
        """Raises Unavailable when no further job can be scheduled."""
        if self._closing:
            raise Unavailable("The server is shutting down; try again.", retry_after=5)
        if len(self.jobs) >= MAX_JOBS:
            raise Unavailable(f"{len(self.jobs)} jobs are scheduled or running; try again.", retry_after=30)

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
        self.jobs[job.benchmark_id, job.job_id] = job
        name = f"evaljob {job.benchmark_id}/{job.job_id}"
        job.task = self._supervisor.spawn(name, self._traced(job, caller, left))

    async def _traced(self, job: RunningJob, caller: Caller, left: bool) -> None:
        run = self._run_of(job, caller, left)
        try:
            try:
                job.begun = True
                if job.stopping:
                    raise asyncio.CancelledError
                async with self._places[is_number(job.job_id)]:
                    await self._run(job, run, caller, left)
            except asyncio.CancelledError:
                job.ending = True
                await run.stop()
        except Superseded:
            logger.info("job %s was ended by somebody else", job.stream)
        finally:
            del self.jobs[job.benchmark_id, job.job_id]
            job.end()

    async def _run(self, job: RunningJob, run: EvalJobRun, caller: Caller, left: bool) -> None:
        if self._closing:
            return
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

    def _run_of(self, job: RunningJob, caller: Caller, left: bool) -> EvalJobRun:
        async def prepare() -> Work:
            return await self._prepare(job, caller, left)

        return EvalJobRun(
            job,
            caller,
            self._owner,
            prepare,
            self._store,
            self._states,
            self._scoring,
            self._limits.eval_concurrency,
        )

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

    async def park(self, grace_s: float) -> None:
        """No further row begins. Those that are under way get `grace_s`; what is left goes on after the next start."""
        self._closing = True
        for job in self.jobs.values():
            job.parking = True
        tasks = [job.task for job in self.jobs.values() if job.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for job in list(self.jobs.values()):
            job.request_stop("parked", "The server is shutting down.")
        left = [job.task for job in self.jobs.values() if job.task is not None]
        if left:
            await asyncio.wait(left)


async def folded(store: EventStore, benchmark_id: str, job_id: str) -> RunningJob:
    """The job as its stream has it, a page at a time: it may have a hundred thousand rows."""
    job = RunningJob(benchmark_id, job_id)
    while page := await store.read_stream(job.stream, job.version, job.version + PAGE_EVENTS):
        job.publish([recorded.event for recorded in page], [recorded.recorded_at for recorded in page])
    return job


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
