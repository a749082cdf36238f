"""The frames of a training job's progress, one for each of its events."""

from __future__ import annotations

from schemas.api.error import Error
from schemas.api.trainjob import (
    CheckpointSavedPayload,
    EpochDonePayload,
    StepsDonePayload,
    TrainJobCancelledPayload,
    TrainJobCancelRequestedPayload,
    TrainJobCompletedPayload,
    TrainJobFailedPayload,
    TrainJobPayload,
    TrainJobPreparedPayload,
    TrainJobScheduledPayload,
    TrainJobStartedPayload,
    TrainJobStreamChunk,
)
from schemas.events.base import Event
from schemas.events.trainjob import (
    TrainJobCancelled,
    TrainJobCancelRequested,
    TrainJobCheckpointSaved,
    TrainJobCompleted,
    TrainJobEpochDone,
    TrainJobFailed,
    TrainJobPrepared,
    TrainJobScheduled,
    TrainJobStarted,
    TrainJobStepsDone,
)


def chunk_of(event: Event) -> TrainJobStreamChunk | None:
    """Returns the content of an event's frame; None if this release does not know the event."""
    payload = payload_of(event)
    return None if payload is None else TrainJobStreamChunk(payload)


def payload_of(event: Event) -> TrainJobPayload | None:
    match event:
        case TrainJobStepsDone():
            return StepsDonePayload(
                epoch=event.epoch,
                first_step=event.first_step,
                losses=event.losses,
                learning_rates=event.learning_rates,
                tokens=event.tokens,
                ms=event.ms,
            )
        case TrainJobEpochDone():
            return EpochDonePayload(
                epoch=event.epoch,
                last_step=event.last_step,
                train_loss=event.train_loss,
                validation_loss=event.validation_loss,
                perplexity=event.perplexity,
                metrics=event.metrics,
            )
        case TrainJobCheckpointSaved():
            return CheckpointSavedPayload(
                identifier=event.identifier,
                epoch=event.epoch,
                step=event.step,
                path=event.path,
                kind=event.kind,
                bytes=event.bytes,
            )
        case TrainJobScheduled():
            return TrainJobScheduledPayload(
                model=event.model,
                algorithm=event.algorithm.type,
                dataset_id=event.rows.dataset_id,
                dataset_version=event.rows.version,
                row_count=event.rows.row_count,
                epochs=event.config.n_epochs,
            )
        case TrainJobStarted():
            return TrainJobStartedPayload(event.attempt)
        case TrainJobPrepared():
            return TrainJobPreparedPayload(
                steps_done=event.steps_done,
                total_steps=event.total_steps,
                samples=event.samples,
                trainable_parameters=event.trainable_parameters,
                total_parameters=event.total_parameters,
                resources=event.resources,
            )
    return _end_of(event)


def _end_of(event: Event) -> TrainJobPayload | None:
    match event:
        case TrainJobCancelRequested():
            return TrainJobCancelRequestedPayload(event.reason)
        case TrainJobCompleted():
            return TrainJobCompletedPayload()
        case TrainJobFailed(error=error):
            return TrainJobFailedPayload(Error(error.status, error.title, error.detail), event.step)
        case TrainJobCancelled():
            return TrainJobCancelledPayload(event.reason, event.step, event.forced)
    return None
