"""Which weights are trained, and how a checkpoint of them is written: full, LoRA or quantisation-aware."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch

from schemas.events.payload import TrainingAlgorithm
from stack.providers.training.protocol import Job
from stack.providers.training.refusals import ATTENTION
from stack.providers.training.trainer.refused import InputRefused

_FEED_FORWARD = (
    "gate_proj", "up_proj", "down_proj", "gate_up_proj", "fc1", "fc2", "c_fc", "dense_h_to_4h", "dense_4h_to_h", "w1", "w2", "w3",
)  # fmt: skip
"""Names of the layers of feed-forward networks in transformers' models."""


class Method(Protocol):
    kind: str
    """The kind of its checkpoints: full, adapter or quantized."""

    def prepare(self, model: Any) -> Any:
        """Returns the model to train; of its parameters, those that are trained require gradients."""

    def save(self, model: Any, folder: Path) -> None:
        """Writes what `from_pretrained` loads, except the tokenizer."""


def choose(job: Job) -> Method:
    if job.algorithm.type == "LoRA":
        return Lora(job.algorithm, job.base)
    if job.algorithm.type == "QAT":
        return Quantized(job.algorithm, job.work)
    return Full()


class Full:
    kind = "full"

    def prepare(self, model: Any) -> Any:
        return model

    def save(self, model: Any, folder: Path) -> None:
        model.save_pretrained(folder)


class Lora:
    """Low-rank adapters. With `quantize_base` the frozen weights of all linear layers but the output layer are
    8-bit integers with one scale for each row."""

    kind = "adapter"

    def __init__(self, algorithm: TrainingAlgorithm, base: str) -> None:
        self._algorithm = algorithm
        self._base = base

    def prepare(self, model: Any) -> Any:
        from peft import LoraConfig, get_peft_model

        names = _targets(model, self._algorithm)
        if self._algorithm.quantize_base:
            from torchao.quantization import Int8WeightOnlyConfig, quantize_

            quantize_(model, Int8WeightOnlyConfig(), filter_fn=_inner_linear(model))
        config = LoraConfig(
            r=self._algorithm.rank,
            lora_alpha=self._algorithm.alpha,
            target_modules=names,
            use_dora=self._algorithm.use_dora,
            task_type="CAUSAL_LM",
        )
        adapted = get_peft_model(model, config)
        config.base_model_name_or_path = self._base
        return adapted

    def save(self, model: Any, folder: Path) -> None:
        # Without this option peft asks the hub whether the vocabulary has grown.
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)


class Quantized:
    """Quantisation-aware training: the forward pass rounds weights (and activations) as the quantised model
    will. The output layer keeps its precision, as in models that transformers quantises.

    A checkpoint is made by way of a folder of float weights, since torchao's converted model cannot be saved."""

    kind = "quantized"

    def __init__(self, algorithm: TrainingAlgorithm, work: str) -> None:
        self._algorithm = algorithm
        self._work = work

    def prepare(self, model: Any) -> Any:
        from torchao.quantization import quantize_
        from torchao.quantization.qat import QATConfig

        size, wanted = self._algorithm.group_size, _inner_linear(model)
        for name, module in model.named_modules():
            if wanted(module, name) and module.in_features % size:
                # torchao would skip the layer without a word.
                raise InputRefused(
                    f"algorithm_config.group_size {size} does not divide the {module.in_features} inputs of {name}; "
                    "choose a divisor"
                )
        quantize_(model, QATConfig(self._config(), step="prepare"), filter_fn=wanted)
        return model

    def save(self, model: Any, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, TorchAoConfig

        with TemporaryDirectory(dir=self._work) as place:
            model.save_pretrained(place)
            made = AutoModelForCausalLM.from_pretrained(
                place, dtype=model.dtype, quantization_config=TorchAoConfig(self._config())
            )
            made.save_pretrained(folder)

    def _config(self) -> Any:
        from torchao.quantization import (
            Int8DynamicActivationIntxWeightConfig,
            IntxWeightOnlyConfig,
            PerGroup,
        )

        group = PerGroup(self._algorithm.group_size)
        if self._algorithm.quantizer_name == "8da4w":
            return Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=group)
        return IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=group)


def _targets(model: Any, algorithm: TrainingAlgorithm) -> list[str]:
    """Returns the names of the layers that get an adapter. Raises InputRefused if the model lacks one."""
    output = model.get_output_embeddings()
    linear = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    known = {name.rpartition(".")[2] for name, module in linear.items() if module is not output}
    wanted = {ATTENTION.get(name, name) for name in algorithm.lora_attn_modules}
    if unknown := sorted(wanted - known):
        raise InputRefused(
            f"algorithm_config.lora_attn_modules: the model has no linear layers {', '.join(unknown)}; it has "
            f"{', '.join(sorted(known))}"
        )
    if algorithm.apply_lora_to_mlp:
        found = known.intersection(_FEED_FORWARD)
        if not found:
            raise InputRefused(
                "algorithm_config.apply_lora_to_mlp: the model has no feed-forward layers of a known name"
            )
        wanted |= found
    if algorithm.apply_lora_to_output:
        wanted |= {name.rpartition(".")[2] for name, module in linear.items() if module is output}
    return sorted(wanted)


def _inner_linear(model: Any) -> Any:
    """Returns a test for linear layers other than the output layer."""
    output = model.get_output_embeddings()
    return lambda module, name: isinstance(module, torch.nn.Linear) and module is not output
