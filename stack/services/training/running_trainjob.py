"""A training job in this process, for which its requests wait and which they follow."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.api.trainjob import PostTrainingJob
from schemas.events.base import Event
from schemas.events.turn import Owner
from stack.domain import trainjob as trainjobs
from stack.domain.stream_position import StreamPosition
from stack.domain.trainjob import TrainJobState
from stack.eventstore import EventStore, stream_name
from stack.runs.live import Frame
from stack.runs.run import Run
from stack.services.training.trainjob_frames import frame_of

PAGE_EVENTS = 200


class RunningTrainJob(Run):
    """A job that is scheduled or running in this process, or the record of one that is not. Its frames are
    read from the log, one page at a time."""

    def __init__(self, store: EventStore, job_uuid: str) -> None:
        super().__init__(store, stream_of(job_uuid))
        self.job_uuid = job_uuid
        self.state = TrainJobState()

    @property
    def is_open(self) -> bool:
        return self.state.is_open

    @property
    def owner(self) -> Owner:
        return self.state.owner

    def apply(self, event: Event, recorded_at: int, *, live: bool) -> Sequence[Frame]:
        self.state = trainjobs.evolve(self.state, event, recorded_at, self.version)
        return ()

    async def stored(self, after: StreamPosition) -> list[Frame]:
        page = await self.store.read_stream(self.stream, after.version, after.version + PAGE_EVENTS)
        return [frame_of(recorded) for recorded in page]

    def wire(self) -> PostTrainingJob:
        return PostTrainingJob(self.job_uuid)


def stream_of(job_uuid: str) -> str:
    return stream_name("trainjob", job_uuid)
