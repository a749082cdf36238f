"""An evaluation job in this process, for which its requests wait and which they follow."""

from __future__ import annotations

from projections import wire
from projections.warehouse.reader import rfc3339
from schemas.api.error import Error
from schemas.api.evaljob import Job, JobOutcome
from schemas.events.evaljob import AGENT_VERSION
from stack.domain import evaljob as evaljobs
from stack.domain.evaljob import EvalJobState
from stack.eventstore import EventStore, stream_name
from stack.runs.job_run import JobRun
from stack.services.evals.evaljob_frames import chunk_of


class RunningJob(JobRun[EvalJobState]):
    """A job that is scheduled or running in this process, or the record of one that is not."""

    def __init__(self, store: EventStore, benchmark_id: str, job_id: str) -> None:
        super().__init__(store, stream_of(benchmark_id, job_id), EvalJobState(), evaljobs.evolve, chunk_of)
        self.benchmark_id = benchmark_id
        self.job_id = job_id

    def wire(self) -> Job:
        return Job(self.job_id, self.state.status)

    def outcome(self) -> JobOutcome:
        return outcome_wire(self.job_id, self.state)


def stream_of(benchmark_id: str, job_id: str) -> str:
    return stream_name("evaljob", f"{benchmark_id}/{job_id}")


def outcome_wire(job_id: str, state: EvalJobState) -> JobOutcome:
    scheduled, error = state.scheduled, state.error
    assert scheduled is not None
    return JobOutcome(
        job_id=job_id,
        status=state.status,
        usage=wire.usage(state.usage),
        error=Error(error.status, error.title, error.detail) if error else None,
        num_rows=scheduled.num_rows,
        num_done=len(state.done),
        num_failed=state.failed,
        dataset_id=scheduled.dataset_id or None,
        dataset_version=scheduled.dataset_version or None,
        agent_id=scheduled.agent_id or None,
        agent_version=AGENT_VERSION if scheduled.agent_id else None,
        created_at=rfc3339(state.scheduled_at),
        completed_at=rfc3339(state.ended_at) if state.ended_at else None,
    )
