"""A training job in this process, for which its requests wait and which they follow."""

from __future__ import annotations

from schemas.api.trainjob import PostTrainingJob
from stack.domain import trainjob as trainjobs
from stack.domain.trainjob import TrainJobState
from stack.eventstore import EventStore, stream_name
from stack.runs.job_run import JobRun
from stack.services.training.trainjob_frames import chunk_of


class RunningTrainJob(JobRun[TrainJobState]):
    """A job that is scheduled or running in this process, or the record of one that is not."""

    def __init__(self, store: EventStore, job_uuid: str) -> None:
        super().__init__(store, stream_of(job_uuid), TrainJobState(), trainjobs.evolve, chunk_of)
        self.job_uuid = job_uuid

    def wire(self) -> PostTrainingJob:
        return PostTrainingJob(self.job_uuid)


def stream_of(job_uuid: str) -> str:
    return stream_name("trainjob", job_uuid)
