"""The telemetry of one training job: a span for each epoch, and the metrics of its steps."""

from __future__ import annotations

from opentelemetry.util.types import AttributeValue

from schemas.events.trainjob import TrainJobScheduled
from stack.providers.training.protocol import Epoch, Message, Step
from telemetry.own import conventions as names
from telemetry.own.metrics import MeasuredSteps, Metrics
from telemetry.own.tracing import ActiveSpan, Tracing


class TrainJobTelemetry:
    """Call `close` before the span of the job ends."""

    def __init__(
        self, job_uuid: str, scheduled: TrainJobScheduled, tracing: Tracing, metrics: Metrics
    ) -> None:
        self._job_uuid = job_uuid
        self._scheduled = scheduled
        self._tracing = tracing
        self._metrics = metrics
        self._epoch: ActiveSpan | None = None
        self._closed = False

    def take(self, message: Message) -> None:
        match message:
            case Step():
                if self._epoch is None and not self._closed:
                    labels: dict[str, AttributeValue] = {
                        "job_uuid": self._job_uuid,
                        names.TRAINING_EPOCH: message.epoch,
                    }
                    self._epoch = self._tracing.span(f"train epoch {message.epoch}", attributes=labels)
                    self._epoch.__enter__()
            case Epoch() if self._epoch is not None:
                self._epoch.set(names.TRAINING_LOSS, message.train_loss)
                self._epoch.set(names.TRAINING_VALIDATION_LOSS, message.validation_loss)
                self._end_epoch()

    def steps(self, losses: list[float], tokens: list[int], ms: list[float]) -> None:
        """Measures consecutive steps."""
        self._metrics.record(
            MeasuredSteps(
                self._job_uuid,
                self._scheduled.model,
                self._scheduled.algorithm.type,
                [one / 1000 for one in ms],
                sum(tokens),
                losses[-1],
            )
        )

    def close(self) -> None:
        """Ends the span of an epoch that is not done, and starts no other."""
        self._closed = True
        self._end_epoch()

    def _end_epoch(self) -> None:
        if self._epoch is not None:
            self._epoch.__exit__(None, None, None)
            self._epoch = None
