"""The events of training jobs, as services record them."""

from __future__ import annotations

from typing import Any

from tests.projections.histories import Happening


def happened(job_uuid: str, name: str, **payload: Any) -> Happening:
    """An event of a job; `name` is without `trainjob.` and the version."""
    return (f"trainjob/{job_uuid}", f"trainjob.{name}.1", payload)


def scheduled(job_uuid: str, n_epochs: int = 2, validated: bool = True) -> Happening:
    data = {"dataset_id": "chats", "batch_size": 2, "shuffle": True, "data_format": "dialog"}
    config = {
        "n_epochs": n_epochs,
        "max_steps_per_epoch": 9,
        "gradient_accumulation_steps": 1,
        "max_validation_steps": 1,
        "data": data,
        "optimizer": {"optimizer_type": "adamw", "lr": 0.01, "weight_decay": 0.0, "num_warmup_steps": 0},
        "dtype": "fp32",
    }
    validation = {"validation": {"dataset_id": "held-out", "version": 1, "row_count": 2}} if validated else {}
    return happened(
        job_uuid,
        "scheduled",
        model="tiny",
        base="/models/tiny",
        config=config,
        algorithm={"type": "LoRA", "rank": 4},
        rows={"dataset_id": "chats", "version": 3, "row_count": 8},
        output=f"/checkpoints/{job_uuid}",
        seed=42,
        actor="key-1",
        **validation,
    )


def started(job_uuid: str, attempt: int = 1, steps_done: int = 0) -> list[Happening]:
    owner = {"node": "node-1", "boot": f"boot-{attempt}"}
    prepared = {"steps_done": steps_done, "total_steps": 4, "samples": 8, "resources": {"device": "cpu"}}
    return [
        happened(job_uuid, "started", owner=owner, attempt=attempt),
        happened(job_uuid, "prepared", trainable_parameters=1, total_parameters=9, **prepared),
    ]


def steps(job_uuid: str, epoch: int, first_step: int, *losses: float) -> Happening:
    count = len(losses)
    return happened(
        job_uuid,
        "steps_done",
        epoch=epoch,
        first_step=first_step,
        losses=list(losses),
        learning_rates=[0.01] * count,
        tokens=[7] * count,
        ms=[1.5] * count,
    )


def epoch_done(
    job_uuid: str, epoch: int, last_step: int, loss: float, validation: float | None = None
) -> Happening:
    validated = {} if validation is None else {"validation_loss": validation, "perplexity": validation + 1}
    return happened(job_uuid, "epoch_done", epoch=epoch, last_step=last_step, train_loss=loss, **validated)


def saved(job_uuid: str, epoch: int, step: int) -> Happening:
    return happened(
        job_uuid,
        "checkpoint_saved",
        identifier=f"{job_uuid}-epoch-{epoch}",
        epoch=epoch,
        step=step,
        path=f"/checkpoints/{job_uuid}/epoch-{epoch}",
        kind="adapter",
        bytes=10,
    )


def failed(job_uuid: str) -> Happening:
    error = {"status": 500, "title": "Internal Server Error", "detail": "The worker ended."}
    return happened(job_uuid, "failed", error=error, step=3)


def interrupted(job_uuid: str) -> list[Happening]:
    """A job that was taken up after its first epoch, and repeated a step that it had done."""
    return [
        scheduled(job_uuid),
        *started(job_uuid),
        steps(job_uuid, 1, 1, 2.0, 1.5),
        epoch_done(job_uuid, 1, 2, 1.75, 1.9),
        saved(job_uuid, 1, 2),
        steps(job_uuid, 2, 3, 1.25),
        *started(job_uuid, attempt=2, steps_done=2),
        steps(job_uuid, 2, 3, 1.0, 0.5),
        epoch_done(job_uuid, 2, 4, 0.75, 0.9),
        saved(job_uuid, 2, 4),
        happened(job_uuid, "completed"),
    ]
