"""Messages of a training worker: which ones are allowed, and in which order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.events.payload import Optimizer, TrainingAlgorithm, TrainingConfig, TrainingData
from stack.providers.training.conversation import Conversation, ProtocolBroken
from stack.providers.training.protocol import Completed, Job

READY = {"type": "ready", "protocol": 1, "pid": 1}
PREPARED = {
    "type": "prepared", "samples": 4, "total_steps": 2, "trainable_parameters": 1, "total_parameters": 2, "resources": {},
}  # fmt: skip


def step(number: int, epoch: int = 1, **more: Any) -> dict[str, Any]:
    own = {"step": number, "epoch": epoch, "loss": 1.0, "learning_rate": 0.1, "tokens": 3, "ms": 1.0}
    return {"type": "step", **own, **more}


def epoch(number: int, last_step: int) -> dict[str, Any]:
    return {"type": "epoch", "epoch": number, "last_step": last_step, "train_loss": 1.0}


def job(output: Path, **more: Any) -> Job:
    config = TrainingConfig(
        n_epochs=2,
        max_steps_per_epoch=1,
        gradient_accumulation_steps=1,
        max_validation_steps=1,
        data=TrainingData(dataset_id="d", batch_size=1, shuffle=False, data_format="instruct"),
        optimizer=Optimizer(optimizer_type="sgd", lr=0.1, weight_decay=0.0, num_warmup_steps=0),
        dtype="fp32",
    )
    work = str(output / "work")
    return Job(
        job_uuid="job", base="/base", rows="/rows", config=config, algorithm=TrainingAlgorithm(type="full"),
        output=str(output), work=work, state=work, seed=1, **more,
    )  # fmt: skip


def checkpoint(output: Path, number: int, last_step: int) -> dict[str, Any]:
    path = output / f"epoch-{number}"
    path.mkdir(exist_ok=True)
    said = {"type": "checkpoint", "epoch": number, "step": last_step, "path": str(path)}
    return said | {"kind": "full", "bytes": 1}


def spoken(conversation: Conversation, *messages: dict[str, Any]) -> None:
    for message in messages:
        conversation.accept(json.dumps(message).encode())


def test_a_whole_job(tmp_path: Path) -> None:
    conversation = Conversation(job(tmp_path))
    alive = {"type": "alive"}
    spoken(conversation, READY, alive, PREPARED, step(1), alive, epoch(1, 1), checkpoint(tmp_path, 1, 1))
    spoken(conversation, step(2, 2), epoch(2, 2), checkpoint(tmp_path, 2, 2), {"type": "completed"})
    assert isinstance(conversation.end, Completed)


def test_a_job_that_continues_counts_from_its_checkpoint(tmp_path: Path) -> None:
    conversation = Conversation(job(tmp_path, epochs_done=1, steps_done=7))
    spoken(conversation, READY, PREPARED, step(8, 2), epoch(2, 8), checkpoint(tmp_path, 2, 8))
    spoken(conversation, {"type": "completed"})


BEGUN = [READY, PREPARED]


@pytest.mark.parametrize(
    ("before", "wrong", "said"),
    [
        ([], PREPARED, "`ready` comes first"),
        ([], READY | {"protocol": 2}, "speaks protocol 1"),
        ([READY], READY, "ready before"),
        ([READY], step(1), "`prepared` comes first"),
        (BEGUN, PREPARED, "prepared before"),
        (BEGUN, step(2), "step 1 comes next"),
        (BEGUN, step(1, 2), "epoch 1 is not done"),
        ([*BEGUN, step(1)], step(1), "step 2 comes next"),
        ([*BEGUN, step(1)], epoch(2, 1), "another epoch"),
        ([*BEGUN, step(1)], epoch(1, 2), "the last step was 1"),
        ([*BEGUN, step(1), epoch(1, 1)], step(2, 2), "checkpoint of the epoch comes first"),
        (BEGUN, {"type": "completed"}, "0 of 2 epochs"),
        ([READY, {"type": "cancelled", "step": 0}], {"type": "alive"}, "its last message came before"),
        (BEGUN, step(1, loss=None), "not a message"),
        (BEGUN, step(1, more=1), "not a message"),
        (BEGUN, {"type": "unknown"}, "not a message"),
    ],
)
def test_what_is_out_of_order_is_refused(
    tmp_path: Path, before: list[dict[str, Any]], wrong: dict[str, Any], said: str
) -> None:
    conversation = Conversation(job(tmp_path))
    spoken(conversation, *before)
    with pytest.raises(ProtocolBroken, match=said):
        spoken(conversation, wrong)


def test_a_checkpoint_is_where_it_belongs(tmp_path: Path) -> None:
    conversation = Conversation(job(tmp_path))
    spoken(conversation, *BEGUN, step(1), epoch(1, 1))
    saved = checkpoint(tmp_path, 1, 1)
    with pytest.raises(ProtocolBroken, match="belongs into"):
        spoken(conversation, saved | {"path": "/elsewhere"})
    Path(saved["path"]).rmdir()
    with pytest.raises(ProtocolBroken, match="no such folder"):
        spoken(conversation, saved)
