"""Training jobs: schedules, follows, cancels, and takes over jobs after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from msgspec.structs import replace

from projections import trainjob as trainjob_views
from projections.warehouse.reader import Reader
from schemas.api.trainjob import PreferenceOptimizeRequest, SupervisedFineTuneRequest
from schemas.api.trainjob import TrainingConfig as RequestedConfig
from schemas.events.payload import TrainingAlgorithm
from schemas.events.trainjob import TrainJobScheduled
from stack.domain import trainjob as trainjobs
from stack.domain import trainjob_request as requests
from stack.domain.stream_position import StreamPosition
from stack.errors import Conflict, Invalid, NotFound, Unavailable, VersionConflict
from stack.eventstore import Append, EventStore, StreamWrite
from stack.providers.training.interpreter import Interpreter
from stack.providers.training.model_roots import Folders
from stack.runs.live import END, Follower, LiveFrames
from stack.runs.runs import Runs
from stack.services.datasets.dataset import DatasetService
from stack.services.requests.caller import SYSTEM, Caller
from stack.services.training.running_trainjob import RunningTrainJob, stream_of
from stack.services.training.training_files import TrainingFiles
from stack.services.training.trainjob_check import Sources, check_possible
from stack.services.training.trainjob_driver import TrainJobDriver
from stack.services.training.trainjob_run import Means, TrainLimits
from stack.services.views import Views
from stack.settings import Settings
from telemetry.own.signals import Signals

READ = ("trainjob",)
SEED = 42
"""The start of a job's random numbers: the same request gives the same losses."""
CANCEL_WAIT_S = 50.0
"""How long a request to cancel waits for the end, in seconds: clients give up after 60 s."""

MOST_ALIVE_S = 5.0
"""How often a worker gives a sign of life, in seconds, unless it must more often."""

P = ParamSpec("P")
T = TypeVar("T")


class TrainJobService:
    def __init__(
        self,
        store: EventStore,
        views: Views,
        datasets: DatasetService,
        runs: Runs[RunningTrainJob],
        signals: Signals,
        settings: Settings,
        folder: Path,
    ) -> None:
        """`folder` is the data folder."""
        self._store = store
        self._views = views
        self._runs = runs
        limits = TrainLimits(
            running_jobs=settings.train_running_jobs,
            silence_s=settings.train_silence_s,
            cancel_grace_s=settings.train_cancel_grace_s,
            restart_limit=settings.restart_limit,
        )
        alive_s = min(MOST_ALIVE_S, limits.silence_s / 4)
        self._files = TrainingFiles(folder, datasets, alive_s)
        self._folders = Folders(settings.train_roots, self._files.checkpoints, folder)
        self._sources = Sources(datasets, views, self._folders)
        self._interpreter = Interpreter(settings.train_python)
        means = Means(self._files, self._interpreter, datasets, limits)
        self._driver = TrainJobDriver(runs, means, signals)
        # Of two jobs that want one folder, the second is refused.
        self._opening = asyncio.Lock()

    async def fine_tune(
        self, request: SupervisedFineTuneRequest, caller: Caller, command: str
    ) -> RunningTrainJob:
        """Schedules supervised fine-tuning with the dataset in its current version. Returns once that is
        durable. Raises Invalid for what is wrong or what this machine cannot do, Conflict for a used id or
        folder, and Unavailable if too many jobs are open."""
        self._check_first(request)
        if request.model is None:
            raise Invalid("model is missing; name the model to train.")
        algorithm = requests.algorithm(request.algorithm_config)
        scheduled = await self._checked(
            request.job_uuid, request.model, "model", request.training_config, algorithm
        )
        return await self._open(request.job_uuid, scheduled, request.checkpoint_dir, caller, command)

    async def optimize_preference(
        self, request: PreferenceOptimizeRequest, caller: Caller, command: str
    ) -> RunningTrainJob:
        """The same for preference optimisation."""
        self._check_first(request)
        algorithm = requests.preference(request.algorithm_config)
        scheduled = await self._checked(
            request.job_uuid, request.finetuned_model, "finetuned_model", request.training_config, algorithm
        )
        return await self._open(request.job_uuid, scheduled, None, caller, command)

    def _check_first(self, request: SupervisedFineTuneRequest | PreferenceOptimizeRequest) -> None:
        self._driver.refuse_if_closing()
        trainjobs.check_id(request.job_uuid)
        requests.check_unused("hyperparam_search_config", request.hyperparam_search_config)
        requests.check_unused("logger_config", request.logger_config)

    async def _checked(
        self,
        job_uuid: str,
        model: str,
        model_field: str,
        given: RequestedConfig,
        algorithm: TrainingAlgorithm,
    ) -> TrainJobScheduled:
        """Returns the job without its folder. Raises Invalid, Conflict."""
        config = requests.config(given)
        if await self._views.read(READ, trainjob_views.status, job_uuid) is not None:
            raise _used(job_uuid)
        check_possible(config, algorithm, await self._interpreter.environment())
        validation = config.data.validation_dataset_id
        scheduled = TrainJobScheduled(
            model=model,
            base=await self._sources.base(model, model_field, algorithm.group_size),
            config=config,
            algorithm=algorithm,
            rows=await self._sources.rows(config.data.dataset_id, "dataset_id"),
            output="",
            seed=SEED,
            validation=await self._sources.rows(validation, "validation_dataset_id") if validation else None,
        )
        await self._sources.check_rows(scheduled)
        return scheduled

    async def _open(
        self,
        job_uuid: str,
        scheduled: TrainJobScheduled,
        checkpoint_dir: str | None,
        caller: Caller,
        command: str,
    ) -> RunningTrainJob:
        job = RunningTrainJob(self._store, job_uuid)
        await self._runs.settled()
        async with self._opening:
            output = self._files.output_of(job_uuid)
            if checkpoint_dir is not None:
                output = await asyncio.to_thread(self._folders.output, checkpoint_dir)
                self._refuse_if_wanted(output)
            own = caller.stamp([replace(scheduled, output=str(output))])
            with self._runs.opening(job.stream):
                try:
                    appended = await self._store.append(
                        Append((StreamWrite(job.stream, 0, own),), command=command)
                    )
                except VersionConflict:
                    raise _used(job_uuid) from None
                job.publish(own, appended.recorded_at[:1])
                self._driver.launch(job, caller)
        return job

    def _refuse_if_wanted(self, output: Path) -> None:
        """Raises Conflict if an open job writes into this folder, one above it or one below."""
        for other in self._runs.running.values():
            scheduled = other.state.scheduled
            taken = Path(scheduled.output) if scheduled is not None else None
            if taken is not None and (taken.is_relative_to(output) or output.is_relative_to(taken)):
                raise Conflict(
                    f"checkpoint_dir: the training job {other.job_uuid!r} writes into {taken}. Name another folder, or wait "
                    "until it has ended."
                )

    async def running(self, job_uuid: str) -> RunningTrainJob | None:
        """Returns the job if it is scheduled or running in this process, None if it has ended (or is parked).
        Raises NotFound."""

        async def is_open() -> bool:
            status = (await self.read(trainjob_views.status, job_uuid)).status
            return status in ("scheduled", "in_progress")

        try:
            trainjobs.check_id(job_uuid)
        except Invalid:
            raise _unknown(job_uuid) from None
        return await self._runs.attach(stream_of(job_uuid), is_open)

    async def read(
        self,
        query: Callable[Concatenate[Reader, str, P], T | None],
        job_uuid: str,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns what a query of the read model finds about a job. Raises NotFound."""
        found = await self._views.read(READ, query, job_uuid, *args, **kwargs)
        if found is None:
            raise _unknown(job_uuid)
        return found

    def follow(self, job_uuid: str, job: RunningTrainJob | None, after: StreamPosition) -> Follower:
        """Returns a follower of the job's frames after this position. `job` is the running job; without one,
        all frames of the log are returned at once."""
        if job is None:
            job = RunningTrainJob(self._store, job_uuid)
            job.live = LiveFrames(END, ended=True)
        return job.follow(after)

    async def cancel(self, job_uuid: str, reason: str) -> None:
        """Ends a scheduled or running job, at the next step; one that has ended is not changed. Returns at
        its end, or when that takes long. Raises NotFound."""
        job = await self.running(job_uuid)
        if job is not None:
            job.request_stop("cancelled", reason)
            await job.ended(CANCEL_WAIT_S)
            if job.state.is_open and not job.state.cancel_reason:
                raise Unavailable("The server is shutting down; the job continues after the next start.")

    async def recover(self) -> None:
        """Takes over the jobs that the last process left open, in the order of scheduling."""
        await self._files.sweep(await self._views.read(READ, trainjob_views.open_jobs))
        await self._runs.recover(self._open_jobs, self._take_up)

    async def _open_jobs(self) -> list[RunningTrainJob]:
        found = await self._views.read(READ, trainjob_views.open_jobs)
        return [RunningTrainJob(self._store, job_uuid) for job_uuid in found]

    async def _take_up(self, job: RunningTrainJob) -> None:
        self._driver.launch(job, replace(SYSTEM, trace_id=job.state.trace_id), left=True)

    async def aclose(self) -> None:
        """Ends all workers."""
        await self._interpreter.aclose()


def _unknown(job_uuid: str) -> NotFound:
    return NotFound(f"There is no training job {job_uuid!r}.")


def _used(job_uuid: str) -> Conflict:
    return Conflict(f"job_uuid {job_uuid!r} was used for another training job; choose another.")
