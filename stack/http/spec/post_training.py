"""Description of training jobs."""

from __future__ import annotations

from typing import Any, get_type_hints

from schemas.api.trainjob import (
    CancelTrainingJobRequest,
    DataConfig,
    DPOAlignmentConfig,
    DPOLossType,
    EfficiencyConfig,
    ListPostTrainingJobsResponse,
    LoraFinetuningConfig,
    OptimizerConfig,
    PostTrainingJob,
    PostTrainingJobArtifactsResponse,
    PostTrainingJobStatusResponse,
    PreferenceOptimizeRequest,
    QATFinetuningConfig,
    SupervisedFineTuneRequest,
    TrainingConfig,
    TrainJobOutcome,
    TrainJobStreamChunk,
)
from stack.http.spec.components import ANY_OBJECT, Details, Schema, plain_default
from stack.http.spec.operation import AS_OF, LAST_EVENT_ID, Operation, Parameter

TAG = "Post-training"

_UNUSED = Details(
    required=frozenset(("hyperparam_search_config", "logger_config")),
    schemas={"hyperparam_search_config": ANY_OBJECT, "logger_config": ANY_OBJECT},
)
_OFF = plain_default(False)
_ONE = plain_default(1)

DETAILS: dict[type, Details] = {
    SupervisedFineTuneRequest: _UNUSED,
    PreferenceOptimizeRequest: _UNUSED,
    TrainingConfig: Details(
        required=frozenset(("max_steps_per_epoch", "gradient_accumulation_steps")),
        notes={
            "max_steps_per_epoch": _ONE,
            "gradient_accumulation_steps": _ONE,
            "max_validation_steps": _ONE,
            "dtype": plain_default("bf16"),
        },
    ),
    DataConfig: Details(notes={"packed": _OFF, "train_on_input": _OFF}),
    EfficiencyConfig: Details(notes=dict.fromkeys(EfficiencyConfig.__struct_fields__, _OFF)),
    LoraFinetuningConfig: Details(notes={"use_dora": _OFF, "quantize_base": _OFF}),
    DPOAlignmentConfig: Details(
        required=frozenset(("loss_type",)), notes={"loss_type": plain_default("sigmoid")}
    ),
    PostTrainingJobStatusResponse: Details(schemas={"resources_allocated": ANY_OBJECT}),
    ListPostTrainingJobsResponse: Details(
        schemas={
            "data": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"job_uuid": {"type": "string"}},
                    "additionalProperties": False,
                    "required": ["job_uuid"],
                },
            }
        }
    ),
}


NAMED: list[tuple[str, Any, Schema | None]] = [
    ("AlgorithmConfig", LoraFinetuningConfig | QATFinetuningConfig, None),
    ("DatasetFormat", get_type_hints(DataConfig)["data_format"], None),
    ("DPOLossType", DPOLossType, None),
    ("OptimizerType", get_type_hints(OptimizerConfig)["optimizer_type"], None),
]

_ROOT = "/v1alpha/post-training"
_JOB = _ROOT + "/jobs/{job_uuid}"
_EXTENSION = "Not part of the Llama Stack specification."
_LATER = "The form in which later clients call it."
_JOB_UUID = Parameter(
    name="job_uuid", kind=str, description="The id with which the training job was created.", required=True
)
_TRAINING = (
    "The dataset is trained in the version that it has now. What this machine cannot do is refused. The job continues "
    "after a crash or a restart of the server, from its last whole epoch."
)


def _reading(name: str, id: str, answer: Any, summary: str, says: str) -> tuple[Operation, Operation]:
    """Returns the operation with the job as a query parameter, and the one with it in the path."""
    is_extension = name == "outcome"
    return (
        Operation(
            method="get",
            path=f"{_ROOT}/job/{name}",
            id=id,
            tag=TAG,
            summary=summary,
            description=_EXTENSION if is_extension else "",
            parameters=(_JOB_UUID, AS_OF),
            answer=answer,
            says=says,
        ),
        Operation(
            method="get",
            path=f"{_JOB}/{name}",
            id=f"{id}_by_path",
            tag=TAG,
            summary=summary,
            description=f"{_LATER} {_EXTENSION}",
            parameters=(AS_OF,),
            answer=answer,
            says=says,
        ),
    )


OPERATIONS = (
    Operation(
        method="post",
        path=_ROOT + "/supervised-fine-tune",
        id="supervised_fine_tune",
        tag=TAG,
        summary="Train a model on prompts and answers.",
        description=_TRAINING,
        body=SupervisedFineTuneRequest,
        answer=PostTrainingJob,
        says="The job is scheduled.",
    ),
    Operation(
        method="post",
        path=_ROOT + "/preference-optimize",
        id="preference_optimize",
        tag=TAG,
        summary="Train a model to prefer chosen answers to rejected ones.",
        description=_TRAINING,
        body=PreferenceOptimizeRequest,
        answer=PostTrainingJob,
        says="The job is scheduled.",
    ),
    Operation(
        method="get",
        path=_ROOT + "/jobs",
        id="list_training_jobs",
        tag=TAG,
        summary="List training jobs, oldest first.",
        parameters=(AS_OF,),
        answer=ListPostTrainingJobsResponse,
        says="All training jobs.",
    ),
    *_reading(
        "status",
        "get_training_job_status",
        PostTrainingJobStatusResponse,
        "Read how a training job stands.",
        "The job as it stands.",
    ),
    *_reading(
        "artifacts",
        "get_training_job_artifacts",
        PostTrainingJobArtifactsResponse,
        "Read the checkpoints of a training job.",
        "One checkpoint for each whole epoch.",
    ),
    *_reading(
        "outcome",
        "get_training_job_outcome",
        TrainJobOutcome,
        "Read how far a training job is, or how it ended.",
        "Status, error, steps and losses.",
    ),
    Operation(
        method="post",
        path=_ROOT + "/job/cancel",
        id="cancel_training_job",
        tag=TAG,
        summary="Cancel a training job that is scheduled or running.",
        description="It ends at the next step, or is ended after a grace time. Whole epochs are kept. A job that has ended is "
        "left as it is.",
        body=CancelTrainingJobRequest,
        says="The answer has no body.",
    ),
    Operation(
        method="post",
        path=_JOB + "/cancel",
        id="cancel_training_job_by_path",
        tag=TAG,
        summary="Cancel a training job that is scheduled or running.",
        description=f"{_LATER} {_EXTENSION}",
        says="The answer has no body.",
    ),
    Operation(
        method="get",
        path=_JOB + "/events",
        id="follow_training_job",
        tag=TAG,
        summary="Follow a training job, loss by loss, or read all of one that has ended.",
        description=_EXTENSION,
        parameters=(LAST_EVENT_ID,),
        frames=TrainJobStreamChunk,
        says="The frames.",
    ),
)
