"""Training jobs: requests, status, checkpoints, and progress as a stream (spec tag: PostTraining)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.error import Error
from schemas.api.evaljob import JobStatus


class DataConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The rows of a training job. `batch_size` is the number of samples per batch."""

    dataset_id: str
    batch_size: int
    shuffle: bool
    data_format: Literal["instruct", "dialog"]
    validation_dataset_id: str | None = None
    packed: bool | None = None
    train_on_input: bool | None = None


class OptimizerConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    optimizer_type: Literal["adam", "adamw", "sgd"]
    lr: float
    weight_decay: float
    num_warmup_steps: int


class EfficiencyConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    enable_activation_checkpointing: bool | None = None
    enable_activation_offloading: bool | None = None
    memory_efficient_fsdp_wrap: bool | None = None
    fsdp_cpu_offload: bool | None = None


class TrainingConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A step consists of `gradient_accumulation_steps` batches. `max_steps_per_epoch` limits the steps of an
    epoch: 1 if it is absent."""

    n_epochs: int
    max_steps_per_epoch: int | None = None
    gradient_accumulation_steps: int | None = None
    max_validation_steps: int | None = None
    data_config: DataConfig | None = None
    optimizer_config: OptimizerConfig | None = None
    efficiency_config: EfficiencyConfig | None = None
    dtype: str | None = None


class LoraFinetuningConfig(
    Struct,
    frozen=True,
    tag_field="type",
    tag="LoRA",
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
):
    lora_attn_modules: list[str]
    apply_lora_to_mlp: bool
    apply_lora_to_output: bool
    rank: int
    alpha: int
    use_dora: bool | None = None
    quantize_base: bool | None = None


class QATFinetuningConfig(
    Struct, frozen=True, tag_field="type", tag="QAT", forbid_unknown_fields=True, kw_only=True
):
    quantizer_name: str
    group_size: int


DPOLossType = Literal["sigmoid", "hinge", "ipo", "kto_pair"]


class DPOAlignmentConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    beta: float
    loss_type: DPOLossType | None = None


class SupervisedFineTuneRequest(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """Without `algorithm_config` all weights are trained. `hyperparam_search_config` and `logger_config` must
    be empty."""

    job_uuid: str
    training_config: TrainingConfig
    hyperparam_search_config: dict[str, Any] | None = None
    logger_config: dict[str, Any] | None = None
    model: str | None = None
    checkpoint_dir: str | None = None
    algorithm_config: LoraFinetuningConfig | QATFinetuningConfig | None = None


class PreferenceOptimizeRequest(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    job_uuid: str
    finetuned_model: str
    algorithm_config: DPOAlignmentConfig
    training_config: TrainingConfig
    hyperparam_search_config: dict[str, Any] | None = None
    logger_config: dict[str, Any] | None = None


class CancelTrainingJobRequest(Struct, frozen=True, forbid_unknown_fields=True):
    job_uuid: str


class PostTrainingJob(Struct, frozen=True):
    job_uuid: str


class ListPostTrainingJobsResponse(Struct, frozen=True):
    data: list[PostTrainingJob]


class PostTrainingMetric(Struct, frozen=True):
    epoch: int
    train_loss: float
    validation_loss: float
    perplexity: float


class Checkpoint(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The model after an epoch (they count from 1). `training_metrics` are absent without validation rows."""

    identifier: str
    created_at: str
    epoch: int
    post_training_job_id: str
    path: str
    training_metrics: PostTrainingMetric | None = None


class PostTrainingJobArtifactsResponse(Struct, frozen=True):
    job_uuid: str
    checkpoints: list[Checkpoint]


class PostTrainingJobStatusResponse(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`completed_at` is the time of the end, however the job ended. `resources_allocated` is known once the
    worker has loaded the model."""

    job_uuid: str
    status: JobStatus
    scheduled_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    resources_allocated: dict[str, Any] | None = None
    checkpoints: list[Checkpoint]


class TrainJobOutcome(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The status of a training job, or how it ended. Not part of the Llama Stack specification.

    `step` is the last step that was done, of `total_steps`; `train_loss` is that of the last whole epoch.
    """

    job_uuid: str
    status: JobStatus
    model: str
    algorithm: str
    dataset_id: str
    dataset_version: int
    epochs: int
    epochs_done: int
    step: int
    total_steps: int | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    error: Error | None = None
    checkpoint_dir: str
    created_at: str | None = None
    completed_at: str | None = None


class TrainJobScheduledPayload(
    Struct, frozen=True, tag_field="event_type", tag="scheduled", omit_defaults=True, kw_only=True
):
    model: str
    algorithm: str
    dataset_id: str
    dataset_version: int
    row_count: int
    epochs: int


class TrainJobStartedPayload(Struct, frozen=True, tag_field="event_type", tag="started"):
    """A worker is started. `attempt` counts from 1; a higher number means a restart after a crash or a
    shutdown of the server."""

    attempt: int


class TrainJobPreparedPayload(Struct, frozen=True, tag_field="event_type", tag="prepared", kw_only=True):
    """Training starts after `steps_done` of `total_steps` steps."""

    steps_done: int
    total_steps: int
    samples: int
    trainable_parameters: int
    total_parameters: int
    resources: dict[str, Any]


class StepsDonePayload(Struct, frozen=True, tag_field="event_type", tag="steps_done", kw_only=True):
    """Consecutive steps from `first_step` on, one value each. A step that comes again after a restart
    replaces the earlier one."""

    epoch: int
    first_step: int
    losses: list[float]
    learning_rates: list[float]
    tokens: list[int]
    ms: list[float]


class EpochDonePayload(
    Struct, frozen=True, tag_field="event_type", tag="epoch_done", omit_defaults=True, kw_only=True
):
    epoch: int
    last_step: int
    train_loss: float
    validation_loss: float | None = None
    perplexity: float | None = None
    metrics: dict[str, float] = {}


class CheckpointSavedPayload(
    Struct, frozen=True, tag_field="event_type", tag="checkpoint_saved", kw_only=True
):
    """`kind` is full, adapter or quantized; `bytes` is the size of the folder."""

    identifier: str
    epoch: int
    step: int
    path: str
    kind: str
    bytes: int


class TrainJobCancelRequestedPayload(Struct, frozen=True, tag_field="event_type", tag="cancel_requested"):
    reason: str


class TrainJobCompletedPayload(Struct, frozen=True, tag_field="event_type", tag="completed"):
    pass


class TrainJobFailedPayload(Struct, frozen=True, tag_field="event_type", tag="failed"):
    """`step` is the last step that was done."""

    error: Error
    step: int


class TrainJobCancelledPayload(Struct, frozen=True, tag_field="event_type", tag="cancelled"):
    """`forced` means that the worker did not end within the grace time."""

    reason: str
    step: int
    forced: bool


TrainJobPayload = (
    TrainJobScheduledPayload
    | TrainJobStartedPayload
    | TrainJobPreparedPayload
    | StepsDonePayload
    | EpochDonePayload
    | CheckpointSavedPayload
    | TrainJobCancelRequestedPayload
    | TrainJobCompletedPayload
    | TrainJobFailedPayload
    | TrainJobCancelledPayload
)


class TrainJobStreamChunk(Struct, frozen=True):
    """One frame of a training job's progress. Not part of the Llama Stack specification."""

    event: TrainJobPayload
