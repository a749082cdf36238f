"""Drives the evaluation jobs of this process: so many at a time, each as one task, with what it works with."""

from __future__ import annotations

import asyncio
import logging

from msgspec import Struct
from msgspec.structs import replace

from schemas.api.eval import EvalCandidate, ModelCandidate
from schemas.events.evaljob import EvalJobScheduled
from schemas.events.turn import Owner
from stack.domain.benchmark import is_number
from stack.errors import InternalError, Unavailable
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

    async def checked_candidate(self, candidate: EvalCandidate) -> EvalCandidate:
        """The candidate, normalised. Raises Invalid for an unknown model and for what it cannot do."""
        if isinstance(candidate, ModelCandidate):
            config = agent_of(candidate)
            normal: EvalCandidate = replace(candidate, sampling_params=config.sampling_params)
        else:
            config = self._agents.normalised(candidate.config, f"{WHERE}.config")
            normal = replace(candidate, config=config)
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
        """Raises Invalid for a model that is gone since the job was scheduled."""
        scheduled = job.state.scheduled
        assert scheduled is not None
        params = scheduled.config.scoring_params or {}
        evaluator = RowEvaluator(
            await self._candidate(job, scheduled, left),
            self._scoring,
            {name: params.get(name) for name in scheduled.scoring_functions},
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
        if isinstance(candidate, ModelCandidate):
            provider, model = await self._models.resolve(candidate.model)
            return ModelAnswers(candidate, provider, model, self._effects, self._content)
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
    candidate = scheduled.config.eval_candidate
    return candidate.model if isinstance(candidate, ModelCandidate) else candidate.config.model
