"""The request of a training job, from a file and from options."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

ROOT = "/v1alpha/post-training"
ALL_STEPS = 2**31 - 1
LEARNING_RATES = {"lora": 2e-4, "full": 2e-5, "qat": 2e-5, "dpo": 1e-6}


def request(file: Path | None, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns path and body of the request. Raises UsageError."""
    given = _read(file) if file is not None else {}
    is_preference = options["method"] == "dpo" or "beta" in (given.get("algorithm_config") or {})
    method = str(options["method"] or ("dpo" if is_preference else "lora"))
    body: dict[str, Any] = {"hyperparam_search_config": {}, "logger_config": {}, **given}
    body["job_uuid"] = options["job_uuid"] or given.get("job_uuid") or str(uuid.uuid4())
    model = options["model"] or given.get("model") or given.get("finetuned_model")
    if not model:
        raise click.UsageError("Say what to train: --model MODEL, or a FILE with `model`.")
    body.pop("model", None)
    body["finetuned_model" if is_preference else "model"] = model
    if options["checkpoint_dir"]:
        body["checkpoint_dir"] = options["checkpoint_dir"]
    if options["method"] or not given:
        algorithm = _algorithm(method, options["rank"])
        if algorithm is not None:
            body["algorithm_config"] = algorithm
        else:
            body.pop("algorithm_config", None)
    body["training_config"] = _training(given.get("training_config") or {}, options, method)
    return f"{ROOT}/{'preference-optimize' if is_preference else 'supervised-fine-tune'}", body


def _training(given: Mapping[str, Any], options: Mapping[str, Any], method: str) -> dict[str, Any]:
    data = {"batch_size": 4, "shuffle": True, "data_format": "instruct", **(given.get("data_config") or {})}
    for name, option in (
        ("dataset_id", "dataset"),
        ("validation_dataset_id", "validation"),
        ("batch_size", "batch_size"),
        ("data_format", "data_format"),
    ):
        if options[option] is not None:
            data[name] = options[option]
    if not data.get("dataset_id"):
        raise click.UsageError("Say what to train on: --dataset DATASET, or a FILE with `data_config`.")
    optimizer = {
        "optimizer_type": "adamw",
        "lr": LEARNING_RATES[method],
        "weight_decay": 0.0,
        "num_warmup_steps": 0,
        **(given.get("optimizer_config") or {}),
    }
    if options["lr"] is not None:
        optimizer["lr"] = options["lr"]
    steps = {"n_epochs": 1, "max_steps_per_epoch": ALL_STEPS, "gradient_accumulation_steps": 1}
    chosen = {
        "n_epochs": options["epochs"],
        "max_steps_per_epoch": options["steps"],
        "dtype": options["dtype"],
    }
    return {
        "max_validation_steps": ALL_STEPS,
        **steps,
        **given,
        **{name: value for name, value in chosen.items() if value is not None},
        "data_config": data,
        "optimizer_config": optimizer,
    }


def _algorithm(method: str, rank: int | None) -> dict[str, Any] | None:
    match method:
        case "lora":
            attention = ["q_proj", "k_proj", "v_proj", "output_proj"]
            rank = rank or 8
            return {
                "type": "LoRA",
                "lora_attn_modules": attention,
                "apply_lora_to_mlp": True,
                "apply_lora_to_output": False,
                "rank": rank,
                "alpha": 2 * rank,
            }
        case "qat":
            return {"type": "QAT", "quantizer_name": "8da4w", "group_size": 32}
        case "dpo":
            return {"beta": 0.1, "loss_type": "sigmoid"}
    return None


def _read(file: Path) -> dict[str, Any]:
    """Returns the content of a TOML or JSON file. Raises UsageError."""
    try:
        if file.suffix == ".toml":
            return msgspec.toml.decode(file.read_bytes(), type=dict[str, Any])
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError) as error:
        raise click.UsageError(f"{file} cannot be read as a request: {error}.") from None
