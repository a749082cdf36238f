"""An evaluation job in this process, for which its requests wait and which they follow."""

from __future__ import annotations

from collections.abc import Sequence

from projections import wire
from projections.warehouse.reader import rfc3339
from schemas.api.error import Error
from schemas.api.evaljob import Job, JobOutcome
from schemas.events.base import Event
from schemas.events.evaljob import AGENT_VERSION
from schemas.events.turn import Owner
from stack.domain import evaljob as evaljobs
from stack.domain.evaljob import EvalJobState
from stack.domain.stream_position import StreamPosition
from stack.eventstore import EventStore, stream_name
from stack.runs.live import Frame
from stack.runs.run import Run
from stack.services.evals.evaljob_frames import frame_of

PAGE_EVENTS = 200


class RunningJob(Run):
    """A job that is scheduled or running in this process, or the record of one that is not.

    Its frames are read from the log, one page at a time: followers neither delay the job nor take memory in
    proportion to the number of rows.
    """

    def __init__(self, store: EventStore, benchmark_id: str, job_id: str) -> None:
        super().__init__(store, stream_of(benchmark_id, job_id))
        self.benchmark_id = benchmark_id
        self.job_id = job_id
        self.state = EvalJobState()

    @property
    def is_open(self) -> bool:
        return self.state.is_open

    @property
    def owner(self) -> Owner:
        return self.state.owner

    def apply(self, event: Event, recorded_at: int, *, live: bool) -> Sequence[Frame]:
        self.state = evaljobs.evolve(self.state, event, recorded_at, self.version)
        return ()

    async def stored(self, after: StreamPosition) -> list[Frame]:
        page = await self.store.read_stream(self.stream, after.version, after.version + PAGE_EVENTS)
        return [frame_of(recorded) for recorded in page]

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
