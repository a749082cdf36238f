"""One training job while it runs: starts its worker, records what it reports, and ends the job.

Only the run appends to its job's stream.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import TurnError
from schemas.events.trainjob import (
    TrainJobCancelled,
    TrainJobCancelRequested,
    TrainJobCompleted,
    TrainJobFailed,
)
from stack.domain import trainjob as trainjobs
from stack.errors import InternalError, Invalid, ReplaystackError
from stack.providers.training.conversation import Conversation, ProtocolBroken
from stack.providers.training.interpreter import Interpreter
from stack.providers.training.protocol import Completed, Failed
from stack.runs.run import Stop
from stack.runs.runs import Runs, Superseded
from stack.services.datasets.dataset import DatasetService
from stack.services.requests.caller import Caller
from stack.services.training.reported import Reported
from stack.services.training.running_trainjob import RunningTrainJob
from stack.services.training.training_files import TrainingFiles
from stack.workers.lines import LineProcess, LineTooLong

logger = logging.getLogger("replaystack.training")

EXIT_S = 10.0
"""How long a worker may take to exit after its last message, in seconds."""
LOST_EXIT_S = 1.0
"""The same for a worker that can report nothing, because it has closed its descriptor."""
DATASET_CHECK_S = 2.0
"""How often a job checks that its datasets still exist, in seconds: deleted rows must not stay on the disk."""
SHOWN_CHARACTERS = 2_000
"""How much of a worker's standard error is recorded as the reason of a failure."""


class TrainLimits(Struct, frozen=True, kw_only=True):
    """The settings with the same names, without `train_`."""

    running_jobs: int = 1
    silence_s: float = 60.0
    cancel_grace_s: float = 30.0
    restart_limit: int = 3


class Means(Struct, frozen=True):
    """The parts with which a run trains."""

    files: TrainingFiles
    interpreter: Interpreter
    datasets: DatasetService
    limits: TrainLimits


class TrainJobRun:
    """`run` returns when the job has ended or was parked."""

    def __init__(
        self,
        job: RunningTrainJob,
        caller: Caller,
        runs: Runs[RunningTrainJob],
        means: Means,
        reported: Reported,
    ) -> None:
        self._job = job
        self._caller = caller
        self._runs = runs
        self._means = means
        self._reported = reported
        self._worker: LineProcess | None = None
        self._conversation: Conversation | None = None

    async def run(self) -> None:
        """Trains from the last whole epoch on. A failure ends the job, not the task."""
        job = self._job
        try:
            if job.state.cancel_reason:
                await self._close(TrainJobCancelled(reason=job.state.cancel_reason, step=job.state.step))
                return
            await self._record(trainjobs.start(job.state, self._runs.ownership.own))
            await self._train()
        except Superseded:
            await self._kill()
            raise
        except ReplaystackError as error:
            await self.fail(error)
        except OSError as error:
            await self.fail(InternalError(f"The job's files cannot be written: {error.strerror or error}."))
        except Exception:
            logger.exception("training job %s failed unexpectedly", job.job_uuid)
            await self.fail(InternalError("The job failed inside the server. Its log has the details."))

    def end_spans(self) -> None:
        """Called before the span of the job ends."""
        self._reported.telemetry.close()

    async def stop(self, stop: Stop, reason: str) -> None:
        """Ends a job whose task was cancelled. A parked job is left open for the next start; its worker is
        ended."""
        if not self._job.state.is_open:
            return
        if stop == "parked":
            await self._kill()
            await self._record()
            return
        await self._record([TrainJobCancelRequested(reason=reason)])
        forced = await self._end_politely()
        await self._kill()
        await self._record()
        await self._close(TrainJobCancelled(reason=reason, step=self._job.state.step, forced=forced))

    async def fail(self, error: ReplaystackError, step: int = 0) -> None:
        """Ends the job with this reason; whole epochs are kept."""
        await self._kill()
        await self._record()
        reason = TurnError(error.status, error.title, error.detail)
        await self._close(TrainJobFailed(error=reason, step=step or self._job.state.step))

    async def _train(self) -> None:
        file, description = await self._means.files.describe(self._job.job_uuid, self._job.state)
        worker = self._worker = await self._means.interpreter.start(file)
        self._conversation = Conversation(description)
        try:
            await self._follow(worker, self._conversation, asyncio.get_running_loop().time() + 1e9)
        except (ProtocolBroken, LineTooLong) as error:
            raise InternalError(f"The training worker does not keep to the protocol: {error}.") from None
        wait_s = LOST_EXIT_S if self._conversation.end is None else EXIT_S
        code, said = await self._means.interpreter.end(worker, wait_s)
        await self._record()
        match self._conversation.end:
            case Completed():
                await self._close(TrainJobCompleted())
            case Failed(detail=detail, is_input=is_input, step=step):
                await self.fail(Invalid(detail) if is_input else InternalError(detail), step)
            case None:
                raise InternalError(f"The training worker {_ended(code)} without a result.{_quoted(said)}")
            case _:
                raise InternalError("The training worker was asked to stop, but not by this server.")

    async def _follow(self, worker: LineProcess, conversation: Conversation, until: float) -> bool:
        """Records what the worker reports up to its last message, or to its end. Returns False if the time
        `until` comes first. Raises ProtocolBroken, LineTooLong; InternalError if it gives no sign of life."""
        now = asyncio.get_running_loop().time
        silent_at = now() + self._means.limits.silence_s
        check_at = now() + DATASET_CHECK_S
        while conversation.end is None:
            due = min(silent_at, check_at, self._reported.due_at, until)
            lines = await worker.read(max(0.0, due - now()))
            if lines is None:
                return True
            for line in lines:
                self._reported.take(conversation.accept(line), now())
            if lines:
                silent_at = now() + self._means.limits.silence_s
            elif now() >= silent_at:
                raise InternalError(
                    f"The training worker gave no sign of life for {self._means.limits.silence_s:g} s (setting "
                    "train_silence_s) and was ended."
                )
            if now() >= self._reported.due_at:
                await self._record()
            if now() >= check_at and until > now() + DATASET_CHECK_S:
                await self._check_datasets()
                check_at = now() + DATASET_CHECK_S
            if now() >= until:
                return False
        return True

    async def _check_datasets(self) -> None:
        """Raises NotFound if one was unregistered."""
        scheduled = self._job.state.scheduled
        assert scheduled is not None
        for source in (scheduled.rows, scheduled.validation):
            if source is not None:
                await self._means.datasets.version(source.dataset_id, source.version)

    async def _end_politely(self) -> bool:
        """Asks the worker to end at the next step, and records what it still reports. Returns whether it has
        to be killed."""
        worker, conversation = self._worker, self._conversation
        if worker is None or conversation is None or worker.has_exited():
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.kill(worker.process.pid, signal.SIGTERM)
        until = asyncio.get_running_loop().time() + self._means.limits.cancel_grace_s
        with suppress(ProtocolBroken, LineTooLong, ReplaystackError):
            return not await self._follow(worker, conversation, until)
        return True

    async def _kill(self) -> None:
        if self._worker is not None:
            await self._means.interpreter.end(self._worker)
            self._worker = None

    async def _record(self, events: Sequence[Event] = ()) -> None:
        """Records what was reported, then these events."""
        self._job.outcomes += self._reported.events()
        await self._runs.record(self._job, self._caller.stamp, events)

    async def _close(self, event: Event) -> None:
        await self._record([event])
        await self._means.files.discard(self._job.job_uuid)


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    killed = " (the machine may have run out of memory)" if code == -signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{killed}"


def _quoted(said: str) -> str:
    return f" Its last words: {said[-SHOWN_CHARACTERS:]}" if said else ""
