"""Reports of a training worker that are not recorded yet, as events."""

from __future__ import annotations

import math

from schemas.events.base import Event
from schemas.events.trainjob import (
    TrainJobCheckpointSaved,
    TrainJobEpochDone,
    TrainJobPrepared,
    TrainJobStepsDone,
)
from stack.domain.trainjob import checkpoint_identifier
from stack.providers.training.protocol import Checkpoint, Epoch, Message, Prepared, Step
from stack.services.training.trainjob_telemetry import TrainJobTelemetry

GATHER_S = 1.0
"""How long steps are collected for one event, in seconds."""
MAX_STEPS = 500
"""Upper bound on the steps of one event."""


class Reported:
    """`due_at` is the time of the loop at which `events` should be recorded."""

    def __init__(self, job_uuid: str, steps_done: int, telemetry: TrainJobTelemetry) -> None:
        self._job_uuid = job_uuid
        self.telemetry = telemetry
        self._steps_done = steps_done
        self._events: list[Event] = []
        self._steps: list[Step] = []
        self.due_at = math.inf

    def take(self, message: Message, now: float) -> None:
        self.telemetry.take(message)
        match message:
            case Step():
                self._steps.append(message)
                self.due_at = min(self.due_at, now + GATHER_S)
                if len(self._steps) >= MAX_STEPS:
                    self._gather()
                    self.due_at = now
                return
            case Prepared():
                event: Event = TrainJobPrepared(
                    steps_done=self._steps_done,
                    total_steps=message.total_steps,
                    samples=message.samples,
                    trainable_parameters=message.trainable_parameters,
                    total_parameters=message.total_parameters,
                    resources=message.resources,
                )
            case Epoch():
                event = TrainJobEpochDone(
                    epoch=message.epoch,
                    last_step=message.last_step,
                    train_loss=message.train_loss,
                    validation_loss=message.validation_loss,
                    perplexity=message.perplexity,
                    metrics=message.metrics,
                )
            case Checkpoint():
                event = TrainJobCheckpointSaved(
                    identifier=checkpoint_identifier(self._job_uuid, message.epoch),
                    epoch=message.epoch,
                    step=message.step,
                    path=message.path,
                    kind=message.kind,
                    bytes=message.bytes,
                )
            case _:
                return
        self._gather()
        self._events.append(event)
        self.due_at = now

    def events(self) -> list[Event]:
        """Returns what is to be recorded, once."""
        self._gather()
        events, self._events = self._events, []
        self.due_at = math.inf
        return events

    def _gather(self) -> None:
        if self._steps:
            steps, self._steps = self._steps, []
            event = TrainJobStepsDone(
                epoch=steps[0].epoch,
                first_step=steps[0].step,
                losses=[one.loss for one in steps],
                learning_rates=[one.learning_rate for one in steps],
                tokens=[one.tokens for one in steps],
                ms=[one.ms for one in steps],
            )
            self._events.append(event)
            self.telemetry.steps(event.losses, event.tokens, event.ms)
