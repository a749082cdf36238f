"""Checks of the server without torch: forms of rows, refused values, and the files of a model."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.events.payload import Optimizer, TrainingAlgorithm, TrainingConfig, TrainingData
from stack.providers.training.model_folder import ModelRefused, open_folder, undivided_layers
from stack.providers.training.refusals import Capabilities, refusals
from stack.providers.training.row_form import RowRefused, check, conversation, preference

CONFIG = TrainingConfig(
    n_epochs=1,
    max_steps_per_epoch=1,
    gradient_accumulation_steps=1,
    max_validation_steps=1,
    data=TrainingData(dataset_id="rows", batch_size=1, shuffle=True, data_format="instruct"),
    optimizer=Optimizer(optimizer_type="adamw", lr=1e-4, weight_decay=0.0, num_warmup_steps=0),
    dtype="bf16",
)
FULL = TrainingAlgorithm(type="full")
LORA = TrainingAlgorithm(type="LoRA", lora_attn_modules=["q_proj"], rank=8, alpha=16)
DPO = TrainingAlgorithm(type="DPO", beta=0.1, loss_type="sigmoid")
QAT = TrainingAlgorithm(type="QAT", quantizer_name="8da4w", group_size=32)
HERE = Capabilities()
QUESTION = {"role": "user", "content": "Why?"}
ANSWER = {"role": "assistant", "content": "So."}


def changed(**fields: Any) -> TrainingConfig:
    return msgspec.structs.replace(CONFIG, **fields)


def data(**fields: Any) -> TrainingConfig:
    return changed(data=msgspec.structs.replace(CONFIG.data, **fields))


def optimizer(**fields: Any) -> TrainingConfig:
    return changed(optimizer=msgspec.structs.replace(CONFIG.optimizer, **fields))


@pytest.mark.parametrize("algorithm", [FULL, LORA, DPO, QAT])
def test_what_can_be_done_is_not_refused(algorithm: TrainingAlgorithm) -> None:
    assert list(refusals(CONFIG, algorithm, HERE)) == []


@pytest.mark.parametrize(
    ("config", "algorithm", "field"),
    [
        (changed(n_epochs=0), FULL, "training_config.n_epochs is 0"),
        (changed(max_validation_steps=-1), FULL, "training_config.max_validation_steps is -1"),
        (changed(dtype="fp16"), FULL, "training_config.dtype fp16"),
        (changed(dtype="int8"), FULL, "training_config.dtype is 'int8'; use bf16 or fp32"),
        (changed(activation_offloading=True), FULL, "enable_activation_offloading"),
        (data(batch_size=0), FULL, "training_config.data_config.batch_size is 0"),
        (data(data_format="csv"), FULL, "data_format is 'csv'; use instruct or dialog"),
        (data(packed=True), DPO, "data_config.packed"),
        (data(train_on_input=True), DPO, "data_config.train_on_input"),
        (optimizer(lr=float("nan")), FULL, "optimizer_config.lr is nan"),
        (optimizer(weight_decay=-1.0), FULL, "optimizer_config.weight_decay is -1.0"),
        (optimizer(optimizer_type="lion"), FULL, "use adam, adamw or sgd"),
        (CONFIG, msgspec.structs.replace(LORA, rank=0), "algorithm_config.rank is 0"),
        (CONFIG, msgspec.structs.replace(LORA, lora_attn_modules=[]), "names no module to train"),
        (CONFIG, msgspec.structs.replace(LORA, use_dora=True, quantize_base=True), "use_dora"),
        (CONFIG, msgspec.structs.replace(QAT, quantizer_name="int3"), "use 8da4w or int4wo"),
        (CONFIG, msgspec.structs.replace(QAT, group_size=0), "algorithm_config.group_size is 0"),
        (CONFIG, msgspec.structs.replace(DPO, beta=0.0), "algorithm_config.beta is 0.0"),
        (CONFIG, msgspec.structs.replace(DPO, loss_type="orpo"), "use sigmoid, hinge, ipo or kto_pair"),
        (CONFIG, TrainingAlgorithm(type="PPO"), "algorithm_config.type is 'PPO'"),
    ],
)
def test_a_value_that_cannot_be_honoured_is_refused(
    config: TrainingConfig, algorithm: TrainingAlgorithm, field: str
) -> None:
    found = list(refusals(config, algorithm, HERE))
    assert len(found) == 1
    assert field in found[0]


def test_missing_packages_are_named() -> None:
    (found,) = refusals(CONFIG, FULL, Capabilities(missing=["torch", "peft"]))
    assert found.startswith("the training interpreter lacks torch, peft: install")


def test_an_accelerator_can_offload_to_the_cpu() -> None:
    assert not list(refusals(changed(activation_offloading=True), FULL, Capabilities(accelerators=["H200"])))


@pytest.mark.parametrize(
    ("row", "data_format"),
    [
        ({"prompt": "Why?", "response": "So."}, "instruct"),
        ({"instruction": "Why?", "output": "So.", "input": ""}, "instruct"),
        ({"chat_completion_input": json.dumps([QUESTION]), "expected_answer": "So."}, "instruct"),
        ({"messages": [QUESTION, ANSWER], "session_id": "s"}, "dialog"),
        ({"dialog": [QUESTION, {**ANSWER, "content": [{"type": "text", "text": "So."}]}]}, "dialog"),
    ],
)
def test_rows_are_conversations(row: dict[str, Any], data_format: str) -> None:
    assert conversation(row, data_format) == [QUESTION, ANSWER]


def test_an_input_follows_its_instruction() -> None:
    row = {"instruction": "Add.", "input": "1 2", "output": "3"}
    assert conversation(row, "instruct")[0]["content"] == "Add.\n\n1 2"


def test_a_preference_has_two_answers() -> None:
    row = {"prompt": "Why?", "chosen": "So.", "rejected": [{"role": "assistant", "content": "No."}]}
    assert preference(row) == ([QUESTION], [ANSWER], [{"role": "assistant", "content": "No."}])


@pytest.mark.parametrize(
    ("row", "data_format", "text"),
    [
        ([], "instruct", "not a JSON object"),
        ({"question": "Why?"}, "instruct", "this one has question"),
        ({"prompt": 1, "response": "So."}, "instruct", "prompt must be a text or a list of messages"),
        ({"prompt": "Why?"}, "dialog", "needs the column messages; this one has prompt"),
        ({"messages": [QUESTION]}, "dialog", "no message of the role assistant"),
        ({"messages": []}, "dialog", "messages must be a list of messages"),
        (
            {"messages": [{"role": "bot", "content": ""}]},
            "dialog",
            "messages[0] must be an object whose role",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "dialog",
            "a part that is not text",
        ),
        ({"chat_completion_input": "[", "expected_answer": ""}, "instruct", "not a list of messages in JSON"),
        ({"prompt": "Why?", "chosen": "So."}, "", "this one lacks rejected"),
        ({"prompt": "Why?", "chosen": [QUESTION], "rejected": "No."}, "", "chosen does not end with"),
    ],
)
def test_a_row_that_cannot_be_trained_on_is_refused(row: Any, data_format: str, text: str) -> None:
    with pytest.raises(RowRefused) as refused:
        check(row, data_format, is_preference=not data_format)
    assert text in str(refused.value)


def write_model(folder: Path, **config: Any) -> Path:
    """Writes a folder with a config and one tensor of 8 bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"hidden_size": 64, "num_attention_heads": 4, **config}))
    write_weights(folder / "model.safetensors")
    return folder


def write_weights(path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))


def write_adapter(folder: Path, base: str) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    write_weights(folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_leads_to_its_base(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base", max_position_embeddings=128)
    first = write_adapter(tmp_path / "first", str(base))
    second = write_adapter(tmp_path / "second", str(first))
    found = open_folder(second)
    assert (found.kind, found.base, found.adapters) == ("adapter", str(base), [str(first), str(second)])
    assert found.context == 128
    assert open_folder(write_adapter(tmp_path / "third", "org/model")).on_hub


def test_layers_that_a_group_size_does_not_divide_are_named(tmp_path: Path) -> None:
    folder = open_folder(write_model(tmp_path / "model", intermediate_size=96))
    assert undivided_layers(folder, 32) == []
    assert undivided_layers(folder, 64) == ["intermediate_size 96"]


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "only pytorch_model.bin; weights",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 40),
            "damaged: its header is not whole",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(bytes([2, *bytes(7)]) + b"[]"),
            "header is not valid",
        ),
        (lambda folder: os.truncate(folder / "model.safetensors", 75), "is damaged: it has 75 bytes"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "damaged"),
        (lambda folder: write_model(folder, quantization_config={"quant_method": "torchao"}), "is quantised"),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text(
                '{"weight_map": {"w": "2.safetensors"}}'
            ),
            "lacks 2.safetensors",
        ),
    ],
)
def test_a_damaged_model_is_refused(tmp_path: Path, harm: Any, text: str) -> None:
    folder = write_model(tmp_path / "model")
    harm(folder)
    with pytest.raises(ModelRefused) as refused:
        open_folder(folder)
    assert text in str(refused.value)


def test_adapters_in_a_circle_are_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "one", str(tmp_path / "one"))
    with pytest.raises(ModelRefused, match="more than 16 others"):
        open_folder(folder)
    with pytest.raises(ModelRefused, match="is not a folder"):
        open_folder(tmp_path / "none")
