"""Events of `trainjob/<job_uuid>`: a training job, its steps in batches, its epochs and checkpoints, and its end.

Epochs and steps count from 1. A step is one update of the weights. A job that is taken up after a crash
repeats the steps after its last checkpoint: of several results of one step, the last one is valid.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import TrainingAlgorithm, TrainingConfig, TurnError
from schemas.events.turn import Owner


class RowSource(Struct, frozen=True, omit_defaults=True):
    """The rows of a dataset at one version."""

    dataset_id: str
    version: int
    row_count: int


class TrainJobScheduled(Event, frozen=True, tag="trainjob.scheduled.1"):
    """`model` is the base model as it was named; `base` is the folder, or the name on the hub, that it
    referred to. Checkpoints are written into `output`, an absolute path. `seed` is the start of all random
    numbers of the job."""

    model: str
    base: str
    config: TrainingConfig
    algorithm: TrainingAlgorithm
    rows: RowSource
    output: str
    seed: int
    validation: RowSource | None = None


class TrainJobStarted(Event, frozen=True, tag="trainjob.started.1"):
    """A worker is started. `attempt` counts from 1 and increases with each crash or shutdown."""

    owner: Owner
    attempt: int


class TrainJobPrepared(Event, frozen=True, tag="trainjob.prepared.1"):
    """The worker has loaded the model and the rows; training starts after `steps_done` steps.
    `total_steps` is an estimate if samples are packed. `resources` describes device, threads and versions."""

    steps_done: int
    total_steps: int
    samples: int
    trainable_parameters: int
    total_parameters: int
    resources: dict[str, Any] = {}


class TrainJobStepsDone(Event, frozen=True, tag="trainjob.steps_done.1"):
    """Consecutive steps of one epoch, from `first_step` on; the lists have one value for each of them.
    `tokens` counts the trained positions, without padding. `ms` is the duration in milliseconds."""

    epoch: int
    first_step: int
    losses: list[float]
    learning_rates: list[float]
    tokens: list[int]
    ms: list[float]


class TrainJobEpochDone(Event, frozen=True, tag="trainjob.epoch_done.1"):
    """`train_loss` is the mean over the epoch. `validation_loss` and `perplexity` (its exponential) are
    absent without validation rows. `metrics` holds further values by name, such as the reward accuracy of
    preference optimisation."""

    epoch: int
    last_step: int
    train_loss: float
    validation_loss: float | None = None
    perplexity: float | None = None
    metrics: dict[str, float] = {}


class TrainJobCheckpointSaved(Event, frozen=True, tag="trainjob.checkpoint_saved.1"):
    """The checkpoint of an epoch is durable in the folder `path`. `kind` is full, adapter or quantized. A
    job continues after this epoch when it is taken up again."""

    identifier: str
    epoch: int
    step: int
    path: str
    kind: str
    bytes: int


class TrainJobCancelRequested(Event, frozen=True, tag="trainjob.cancel_requested.1"):
    """The worker was told to end. Any end of it from now on is a cancellation, also after a crash."""

    reason: str


class TrainJobCompleted(Event, frozen=True, tag="trainjob.completed.1"):
    """All epochs are done."""


class TrainJobFailed(Event, frozen=True, tag="trainjob.failed.1"):
    """Checkpoints of whole epochs remain. `step` is the last step that was done, 0 if there was none."""

    error: TurnError
    step: int = 0


class TrainJobCancelled(Event, frozen=True, tag="trainjob.cancelled.1"):
    """Checkpoints of whole epochs remain. `forced` means that the worker did not end within the grace
    time."""

    reason: str
    step: int = 0
    forced: bool = False


EVENTS = (
    TrainJobScheduled,
    TrainJobStarted,
    TrainJobPrepared,
    TrainJobStepsDone,
    TrainJobEpochDone,
    TrainJobCheckpointSaved,
    TrainJobCancelRequested,
    TrainJobCompleted,
    TrainJobFailed,
    TrainJobCancelled,
)
