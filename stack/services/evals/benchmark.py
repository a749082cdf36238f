"""Registers and unregisters benchmarks. Reads use the read model."""

from __future__ import annotations

from projections import benchmark as benchmark_views
from schemas.api.benchmark import Benchmark, RegisterBenchmarkRequest
from schemas.events.base import Erased
from stack.domain import benchmark as benchmarks
from stack.errors import Conflict, Invalid, NotFound, VersionConflict
from stack.eventstore import Append, EventStore, StreamWrite, stream_name
from stack.services.agents.agent import AgentService
from stack.services.datasets.dataset import DatasetService
from stack.services.evals.evaljob import READ, EvalJobService
from stack.services.evals.running_job import stream_of
from stack.services.requests.caller import Caller
from stack.services.scoring.scoring import Scoring
from stack.services.state import States
from stack.services.views import Views

ATTEMPTS = 10
MAX_METADATA_BYTES = 64 * 1024


class BenchmarkService:
    def __init__(
        self,
        store: EventStore,
        states: States,
        views: Views,
        datasets: DatasetService,
        scoring: Scoring,
        agents: AgentService,
        jobs: EvalJobService,
    ) -> None:
        self._store = store
        self._states = states
        self._views = views
        self._datasets = datasets
        self._scoring = scoring
        self._agents = agents
        self._jobs = jobs

    async def register(self, request: RegisterBenchmarkRequest, caller: Caller, command: str) -> None:
        """Registering the same benchmark again changes nothing. Raises Invalid, NotFound for an unknown
        dataset, Conflict for a different benchmark with the same id."""
        wanted = benchmarks.definition(request)
        if len(bytes(wanted.metadata)) > MAX_METADATA_BYTES:
            raise Invalid(f"metadata is larger than {MAX_METADATA_BYTES} bytes.")
        benchmark_id = request.benchmark_id
        for _ in range(ATTEMPTS):
            state, version = await self._states.benchmark(benchmark_id)
            events = caller.stamp(benchmarks.register(state, wanted, benchmark_id))
            if not events:
                return
            self._scoring.check_names(request.scoring_functions)
            await self._datasets.version(request.dataset_id)
            write = StreamWrite(stream_name("benchmark", benchmark_id), version, events)
            try:
                await self._store.append(Append((write,), command=command))
                return
            except VersionConflict:
                continue
        raise Conflict(f"Benchmark {benchmark_id!r} is busy with other requests. Try again.")

    async def show(self, benchmark_id: str, as_of: int | None = None) -> Benchmark:
        """Raises NotFound."""
        benchmark = await self._views.read(("benchmark",), benchmark_views.get, benchmark_id, as_of)
        if benchmark is None:
            raise benchmarks.unknown(benchmark_id)
        return benchmark

    async def unregister(self, benchmark_id: str, caller: Caller) -> None:
        """Cancels its jobs, deletes the agents that were created for them, then the benchmark and all its
        jobs; their content is redacted. Raises NotFound."""
        stream = stream_name("benchmark", benchmark_id)
        for _ in range(ATTEMPTS):
            await self._jobs.cancel_all(benchmark_id, "The benchmark was unregistered.")
            state, version = await self._states.benchmark(benchmark_id)
            benchmarks.existing(state, benchmark_id)
            if state.open_jobs:
                continue
            jobs = await self._views.read(READ, benchmark_views.jobs, benchmark_id)
            for job in jobs:
                await self._delete_agent(job.agent_id, caller)
            redact = (stream, *(stream_of(benchmark_id, job.job_id) for job in jobs))
            events, blobs = await self._store.held_by(redact)
            erased = Erased(events=events, blobs=blobs, jobs=len(jobs))
            write = StreamWrite(stream, version, caller.stamp(benchmarks.unregister(state, erased)))
            try:
                await self._store.append(Append((write,), redact=redact))
                return
            except VersionConflict:
                continue
        raise Conflict(
            f"Benchmark {benchmark_id!r} is busy: new jobs come faster than they can be cancelled."
        )

    async def _delete_agent(self, agent_id: str, caller: Caller) -> None:
        if agent_id:
            try:
                await self._agents.delete(agent_id, caller)
            except NotFound:
                return
