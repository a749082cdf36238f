"""Evaluation jobs: schedules, follows, cancels, evaluates rows immediately, and takes over jobs after a
crash.

Rows that are sent with a request are a job too, under a separate id instead of a number: their results are
recorded, and a repeated request joins them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from projections import evaljob as evaljob_views
from schemas.api.eval import BenchmarkConfig as RequestedConfig
from schemas.api.eval import EvaluateRowsRequest, RunEvalRequest
from schemas.api.evaljob import JobOutcome
from schemas.events.agent import AgentCreated
from schemas.events.base import Event
from schemas.events.evaljob import EvalJobScheduled
from schemas.events.payload import BenchmarkConfig
from stack.domain import benchmark as benchmarks
from stack.domain import evaljob as evaljobs
from stack.domain import payload
from stack.domain.eval_row import read_row
from stack.domain.stream_position import StreamPosition
from stack.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable, VersionConflict
from stack.eventstore import Append, EventStore, StreamWrite, stream_name
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.runs.live import END, Follower, LiveFrames
from stack.services.datasets.dataset import DatasetService
from stack.services.effects import new_id
from stack.services.evals.evaljob_driver import EvalJobDriver
from stack.services.evals.row_evaluator import needs_answer
from stack.services.evals.running_job import RunningJob, stream_of
from stack.services.requests.caller import SYSTEM, Caller
from stack.services.scoring.scoring import Scoring
from stack.services.state import States
from stack.services.views import Views

ATTEMPTS = 10
READ = ("benchmark", "evaljob")
MAX_ROWS_BYTES = 4 * 2**20
"""Maximum size in bytes of the rows that one request may send for evaluation: they are recorded in one
event."""


class EvalJobService:
    def __init__(
        self,
        store: EventStore,
        states: States,
        views: Views,
        datasets: DatasetService,
        scoring: Scoring,
        driver: EvalJobDriver,
        max_rows: int,
    ) -> None:
        self._store = store
        self._states = states
        self._views = views
        self._datasets = datasets
        self._scoring = scoring
        self._driver = driver
        self._runs = driver.runs
        self._max_rows = max_rows

    async def schedule(
        self, benchmark_id: str, request: RunEvalRequest, caller: Caller, command: str
    ) -> RunningJob:
        """Schedules a job with the benchmark's dataset in its current version. Returns once that is durable.

        Raises NotFound for an unknown benchmark or dataset, Invalid (also for an unknown model or function),
        Conflict and Unavailable if too many jobs are open.
        """
        where = "benchmark_config"
        benchmark = benchmarks.existing((await self._states.benchmark(benchmark_id)).state, benchmark_id)
        config = await self._checked(request.benchmark_config, benchmark.scoring_functions)
        version, row_count = await self._datasets.version(benchmark.dataset_id)
        if not row_count:
            raise Invalid(f"Dataset {benchmark.dataset_id!r} has no rows to evaluate; append some first.")
        scheduled = EvalJobScheduled(
            benchmark_id=benchmark_id,
            num_rows=evaljobs.num_rows(row_count, config.num_examples, where),
            config=config,
            scoring_functions=benchmark.scoring_functions,
            dataset_id=benchmark.dataset_id,
            dataset_version=version,
        )
        return await self._open(scheduled, "", caller, command)

    async def evaluate(
        self, benchmark_id: str, request: EvaluateRowsRequest, caller: Caller, command: str
    ) -> RunningJob:
        """Evaluates rows that were sent with the request. Raises the errors of `schedule`, Invalid for a row
        in an unknown format, and TooLarge for too many."""
        benchmarks.existing((await self._states.benchmark(benchmark_id)).state, benchmark_id)
        benchmarks.check_functions(request.scoring_functions)
        given = len(request.input_rows)
        if not given:
            raise Invalid("input_rows is empty; give the rows to evaluate.")
        if given > self._max_rows:
            raise TooLarge(
                f"input_rows has {given} rows; at most {self._max_rows} are evaluated at once. Register them as a "
                "dataset and run a job, or raise eval_max_rows."
            )
        config = await self._checked(request.benchmark_config, request.scoring_functions)
        count = evaljobs.num_rows(given, config.num_examples, "benchmark_config")
        rows = [bytes(row) for row in request.input_rows]
        answered = needs_answer(request.scoring_functions)
        scheduled = EvalJobScheduled(
            benchmark_id=benchmark_id,
            num_rows=count,
            config=config,
            scoring_functions=request.scoring_functions,
            rows=await _packed(rows, count, answered),
        )
        return await self._open(scheduled, new_id(), caller, command)

    async def _checked(self, config: RequestedConfig, functions: Sequence[str]) -> BenchmarkConfig:
        """Returns the normalised configuration, as it is stored. Raises Invalid."""
        self._driver.refuse_if_closing()
        self._scoring.check(functions, config.scoring_params or {})
        await self._scoring.check_judges(config.scoring_params or {})
        candidate = await self._driver.candidates.checked(config.eval_candidate)
        return payload.benchmark_config(config, candidate)

    async def _open(
        self, scheduled: EvalJobScheduled, evaluation_id: str, caller: Caller, command: str
    ) -> RunningJob:
        """Appends to the streams of the benchmark and of the job, and if an agent is the candidate to the
        agent's: all or nothing."""
        benchmark_id, candidate = scheduled.benchmark_id, scheduled.config.eval_candidate
        others: list[StreamWrite] = []
        if candidate.config is not None:
            agent_id = new_id()
            scheduled = replace(scheduled, agent_id=agent_id)
            created: list[Event] = [AgentCreated(config=candidate.config)]
            others.append(StreamWrite(stream_name("agent", agent_id), 0, caller.stamp(created)))
        for _ in range(ATTEMPTS):
            state, version = await self._states.benchmark(benchmark_id)
            benchmarks.existing(state, benchmark_id)
            job_id, events = evaluation_id, benchmarks.schedule_evaluation(state, evaluation_id)
            if not evaluation_id:
                job_id, events = benchmarks.schedule_job(state)
            job = RunningJob(self._store, benchmark_id, job_id)
            own = caller.stamp([scheduled])
            writes = (
                StreamWrite(stream_name("benchmark", benchmark_id), version, caller.stamp(events)),
                StreamWrite(job.stream, 0, own),
                *others,
            )
            with self._runs.opening(job.stream):
                try:
                    appended = await self._store.append(Append(writes, command=command))
                except VersionConflict:
                    continue
                job.publish(own, appended.recorded_at[1:2])
                self._driver.launch(job, caller)
            return job
        raise Conflict(f"Benchmark {benchmark_id!r} is busy with other requests. Try again.")

    async def running(self, benchmark_id: str, job_id: str) -> RunningJob | None:
        """Returns the job if it is scheduled or running in this process, None if it has ended (or is parked).
        Raises NotFound."""

        async def is_open() -> bool:
            state = (await self._states.benchmark(benchmark_id)).state
            benchmarks.existing(state, benchmark_id)
            if job_id in state.open_jobs:
                return True
            if not benchmarks.is_number(job_id) or int(job_id) >= state.next_job:
                await self.view(benchmark_id, job_id)
            return False

        return await self._runs.attach(stream_of(benchmark_id, job_id), is_open)

    def follow(
        self, benchmark_id: str, job_id: str, job: RunningJob | None, after: StreamPosition
    ) -> Follower:
        """Returns a follower of the job's frames after this position. `job` is the running job; without one,
        all frames of the log are returned at once."""
        if job is None:
            job = RunningJob(self._store, benchmark_id, job_id)
            job.live = LiveFrames(END, ended=True)
        return job.follow(after)

    async def view(self, benchmark_id: str, job_id: str, as_of: int | None = None) -> evaljob_views.JobView:
        """Returns the job from the read model. Raises NotFound."""
        view = await self._views.read(READ, evaljob_views.get, benchmark_id, job_id, as_of)
        if view is None:
            raise NotFound(f"There is no job {job_id!r} of benchmark {benchmark_id!r}.")
        return view

    async def outcome(self, benchmark_id: str, job_id: str, as_of: int | None = None) -> JobOutcome:
        """Returns the status or end of the job. Raises NotFound."""
        job = await self.running(benchmark_id, job_id) if as_of is None else None
        return job.outcome() if job is not None else (await self.view(benchmark_id, job_id, as_of)).outcome

    async def cancel(self, benchmark_id: str, job_id: str, reason: str) -> None:
        """Ends a scheduled or running job; one that has ended is not changed. Raises NotFound."""
        job = await self.running(benchmark_id, job_id)
        if job is not None:
            job.request_stop("cancelled", reason)
            await job.ended()
            if job.state.is_open:
                raise Unavailable("The server is shutting down; the job continues after the next start.")
            return
        await self.view(benchmark_id, job_id)

    async def cancel_all(self, benchmark_id: str, reason: str) -> None:
        """Ends all jobs of a benchmark that are open now."""
        open_jobs = (await self._states.benchmark(benchmark_id)).state.open_jobs
        await asyncio.gather(*(self.cancel(benchmark_id, job_id, reason) for job_id in open_jobs))

    async def recover(self) -> None:
        """Takes over the jobs that the last process left open, in the order of scheduling."""
        await self._runs.recover(self._open_jobs, self._take_up)

    async def _open_jobs(self) -> list[RunningJob]:
        found = await self._views.read(READ, evaljob_views.open_jobs)
        return [RunningJob(self._store, benchmark_id, job_id) for benchmark_id, job_id in found]

    async def _take_up(self, job: RunningJob) -> None:
        self._driver.launch(job, replace(SYSTEM, trace_id=job.state.trace_id), left=True)


async def _packed(rows: Sequence[bytes], count: int, answered: bool) -> str:
    """Returns the first `count` rows as the text of a JSON array. Raises Invalid for a row in an unknown
    format, TooLarge."""
    size = sum(map(len, rows))
    if size > MAX_ROWS_BYTES:
        raise TooLarge(
            f"input_rows has {size} bytes; at most {MAX_ROWS_BYTES} are evaluated at once. Register the rows as a "
            "dataset and run a job."
        )
    await off_loop_if(size > LARGE_JSON_BYTES, _check_rows, rows, answered)
    return (b"[%b]" % b",".join(rows[:count])).decode()


def _check_rows(rows: Sequence[bytes], answered: bool) -> None:
    """Raises Invalid for a row in an unknown format."""
    for index, row in enumerate(rows):
        try:
            read_row(row, answered)
        except Invalid as error:
            raise Invalid(f"input_rows[{index}]: {error.detail}") from None
