"""Drives the training jobs of this process, a limited number at a time."""

from __future__ import annotations

import asyncio
from functools import partial

from stack.errors import InternalError, Unavailable
from stack.runs.runs import Runs
from stack.services.requests.caller import Caller
from stack.services.training.reported import Reported
from stack.services.training.running_trainjob import RunningTrainJob
from stack.services.training.trainjob_run import Means, TrainJobRun
from stack.services.training.trainjob_telemetry import TrainJobTelemetry
from telemetry.own import conventions as names
from telemetry.own.signals import Signals

MAX_JOBS = 2_000


class TrainJobDriver:
    """`runs` holds the jobs that are scheduled or running in this process."""

    def __init__(self, runs: Runs[RunningTrainJob], means: Means, signals: Signals) -> None:
        self.runs = runs
        self.means = means
        self._tracing = signals.tracing
        self._metrics = signals.metrics
        self._places = asyncio.Semaphore(means.limits.running_jobs)

    def refuse_if_closing(self) -> None:
        """Raises Unavailable if no further job can be scheduled."""
        if self.runs.closing:
            raise Unavailable("The server is shutting down; try again.", retry_after=5)
        running = len(self.runs.running)
        if running >= MAX_JOBS:
            raise Unavailable(f"{running} training jobs are scheduled or running; try again.", retry_after=60)

    def launch(self, job: RunningTrainJob, caller: Caller, *, left: bool = False) -> None:
        """Starts the run of an open job in the background, as soon as the limit allows it. `left` means that
        an earlier process left it open."""
        scheduled = job.state.scheduled
        assert scheduled is not None
        telemetry = TrainJobTelemetry(job.job_uuid, scheduled, self._tracing, self._metrics)
        reported = Reported(job.job_uuid, job.state.steps_done, telemetry)
        run = TrainJobRun(job, caller, self.runs, self.means, reported)
        work = partial(self._run, job, run, caller, left)
        self.runs.launch(job, self.runs.drive(job, work, run.stop))

    async def _run(self, job: RunningTrainJob, run: TrainJobRun, caller: Caller, left: bool) -> None:
        async with self._places:
            if not self.runs.closing:
                await self._traced(job, run, caller, left)

    async def _traced(self, job: RunningTrainJob, run: TrainJobRun, caller: Caller, left: bool) -> None:
        scheduled = job.state.scheduled
        assert scheduled is not None
        with self._tracing.span(
            f"train {scheduled.model}",
            attributes={
                "job_uuid": job.job_uuid,
                "dataset_id": scheduled.rows.dataset_id,
                names.GEN_AI_REQUEST_MODEL: scheduled.model,
            },
            traceparent=caller.traceparent,
            tracestate=caller.tracestate,
        ) as span:
            if left and job.state.starts_without_progress > self.means.limits.restart_limit:
                await run.fail(
                    InternalError(
                        "The job was interrupted too often without a further epoch done in between."
                    )
                )
            else:
                try:
                    await run.run()
                finally:
                    run.end_spans()
            if job.state.error is not None:
                span.fail(str(job.state.error.status))
