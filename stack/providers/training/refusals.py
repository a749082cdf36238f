"""Checks of a training job: which requested values cannot be honoured here, each with its remedy.

Without torch, so that the server refuses a request before its job exists.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Struct

from schemas.events.payload import TrainingAlgorithm, TrainingConfig

ALGORITHMS = ("full", "LoRA", "QAT", "DPO")
FORMATS = ("instruct", "dialog")
OPTIMIZERS = ("adam", "adamw", "sgd")
LOSSES = ("sigmoid", "hinge", "ipo", "kto_pair")
DTYPES = ("bf16", "fp32")
QUANTIZERS = ("8da4w", "int4wo")
"""Names of torchao: int8 activations with int4 weights, and int4 weights only."""
ATTENTION = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "output_proj": "o_proj"}
"""The contract's names of attention modules (those of torchtune), and the names in the models."""
_LARGEST = 2**31 - 1


class Capabilities(Struct, frozen=True, kw_only=True):
    """`accelerators` names the devices that torch can use in addition to the CPU. `missing` names the packages
    that the interpreter lacks."""

    accelerators: list[str] = []
    missing: list[str] = []


def refusals(
    config: TrainingConfig, algorithm: TrainingAlgorithm, capabilities: Capabilities
) -> Iterator[str]:
    """Yields one text for each refused value: the field as a path in the request, the problem and the remedy."""
    yield from _numbers(config)
    yield from _data(config, algorithm)
    yield from _precision(config, capabilities)
    if algorithm.type == "LoRA":
        yield from _lora(algorithm)
    elif algorithm.type == "QAT":
        yield from _quantizer(algorithm, config.dtype)
    elif algorithm.type == "DPO":
        yield from _preference(algorithm)
    elif algorithm.type != "full":
        yield f"algorithm_config.type is {algorithm.type!r}; use {_either(ALGORITHMS[1:3])}"
    if capabilities.missing:
        yield (
            f"the training interpreter lacks {', '.join(capabilities.missing)}: install replaystack[train] in it, "
            "or set train_python to one that has them"
        )


def _numbers(config: TrainingConfig) -> Iterator[str]:
    counts = {
        "n_epochs": (config.n_epochs, 1),
        "max_steps_per_epoch": (config.max_steps_per_epoch, 1),
        "gradient_accumulation_steps": (config.gradient_accumulation_steps, 1),
        "max_validation_steps": (config.max_validation_steps, 0),
        "data_config.batch_size": (config.data.batch_size, 1),
        "optimizer_config.num_warmup_steps": (config.optimizer.num_warmup_steps, 0),
    }
    for field, (value, least) in counts.items():
        if not least <= value <= _LARGEST:
            yield f"training_config.{field} is {value}; it must be from {least} to {_LARGEST}"
    for field, number in (("lr", config.optimizer.lr), ("weight_decay", config.optimizer.weight_decay)):
        if not math.isfinite(number) or number < 0:
            yield f"training_config.optimizer_config.{field} is {number}; it must be a number from 0 up"
    if config.optimizer.optimizer_type not in OPTIMIZERS:
        yield (
            f"training_config.optimizer_config.optimizer_type is {config.optimizer.optimizer_type!r}; "
            f"use {_either(OPTIMIZERS)}"
        )


def _data(config: TrainingConfig, algorithm: TrainingAlgorithm) -> Iterator[str]:
    data, field = config.data, "training_config.data_config"
    if algorithm.type == "DPO":
        if data.packed:
            yield f"{field}.packed is for fine-tuning; preference optimisation compares whole pairs: leave it out"
        if data.train_on_input:
            yield f"{field}.train_on_input is for fine-tuning; leave it out"
    elif data.data_format not in FORMATS:
        yield f"{field}.data_format is {data.data_format!r}; use {_either(FORMATS)}"


def _precision(config: TrainingConfig, capabilities: Capabilities) -> Iterator[str]:
    if config.dtype == "fp16":
        yield "training_config.dtype fp16 does not hold the steps of Adam (losses become NaN); use bf16 or fp32"
    elif config.dtype not in DTYPES:
        yield f"training_config.dtype is {config.dtype!r}; use {_either(DTYPES)}"
    if config.activation_offloading and not capabilities.accelerators:
        yield (
            "training_config.efficiency_config.enable_activation_offloading moves activations from an accelerator "
            "to the CPU, and this machine trains on the CPU; leave it out, or use enable_activation_checkpointing"
        )


def _lora(algorithm: TrainingAlgorithm) -> Iterator[str]:
    for field, value in (("rank", algorithm.rank), ("alpha", algorithm.alpha)):
        if not 1 <= value <= _LARGEST:
            yield f"algorithm_config.{field} is {value}; it must be at least 1"
    if not (algorithm.lora_attn_modules or algorithm.apply_lora_to_mlp or algorithm.apply_lora_to_output):
        yield (
            "algorithm_config names no module to train; give lora_attn_modules "
            f"({', '.join(ATTENTION)}), apply_lora_to_mlp or apply_lora_to_output"
        )
    if algorithm.use_dora and algorithm.quantize_base:
        yield "algorithm_config.use_dora needs the norms of float weights; leave out use_dora or quantize_base"


def _quantizer(algorithm: TrainingAlgorithm, dtype: str) -> Iterator[str]:
    if algorithm.quantizer_name not in QUANTIZERS:
        yield f"algorithm_config.quantizer_name is {algorithm.quantizer_name!r}; use {_either(QUANTIZERS)}"
    if not 1 <= algorithm.group_size <= _LARGEST:
        yield f"algorithm_config.group_size is {algorithm.group_size}; it must divide the sizes of the layers"


def _preference(algorithm: TrainingAlgorithm) -> Iterator[str]:
    if not math.isfinite(algorithm.beta) or algorithm.beta <= 0:
        yield f"algorithm_config.beta is {algorithm.beta}; it must be above 0, such as 0.1"
    if algorithm.loss_type not in LOSSES:
        yield f"algorithm_config.loss_type is {algorithm.loss_type!r}; use {_either(LOSSES)}"


def _either(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" or {names[-1]}"
