"""A request to train, completed with its defaults. Its values are checked later, with what the machine has."""

from __future__ import annotations

from typing import Any

from schemas.api.trainjob import (
    DataConfig,
    DPOAlignmentConfig,
    LoraFinetuningConfig,
    OptimizerConfig,
    QATFinetuningConfig,
)
from schemas.api.trainjob import TrainingConfig as RequestedConfig
from schemas.events.payload import Optimizer, TrainingAlgorithm, TrainingConfig, TrainingData
from stack.domain.near import nearest
from stack.errors import Invalid

ATTENTION_MODULES = ("q_proj", "k_proj", "v_proj", "output_proj", "o_proj")
DEFAULT_OPTIMIZER = Optimizer(optimizer_type="adamw", lr=2e-5, weight_decay=0.0, num_warmup_steps=0)

_WHERE = "training_config"


def config(given: RequestedConfig) -> TrainingConfig:
    """Returns the configuration with its defaults. Raises Invalid."""
    efficiency = given.efficiency_config
    for name in ("memory_efficient_fsdp_wrap", "fsdp_cpu_offload"):
        if efficiency is not None and getattr(efficiency, name):
            raise Invalid(
                f"{_WHERE}.efficiency_config.{name} is true, but FSDP spreads a model over several processes and training "
                "here is one process; leave it out."
            )
    if given.data_config is None:
        raise Invalid(f"{_WHERE}.data_config is missing; name the dataset to train on.")
    return TrainingConfig(
        n_epochs=given.n_epochs,
        max_steps_per_epoch=_or_one(given.max_steps_per_epoch),
        gradient_accumulation_steps=_or_one(given.gradient_accumulation_steps),
        max_validation_steps=_or_one(given.max_validation_steps),
        data=_data(given.data_config),
        optimizer=DEFAULT_OPTIMIZER if given.optimizer_config is None else _optimizer(given.optimizer_config),
        dtype=given.dtype or "bf16",
        activation_checkpointing=bool(efficiency and efficiency.enable_activation_checkpointing),
        activation_offloading=bool(efficiency and efficiency.enable_activation_offloading),
    )


def algorithm(given: LoraFinetuningConfig | QATFinetuningConfig | None) -> TrainingAlgorithm:
    """Returns the algorithm of supervised fine-tuning. Raises Invalid."""
    if given is None:
        return TrainingAlgorithm(type="full")
    if isinstance(given, QATFinetuningConfig):
        return TrainingAlgorithm(
            type="QAT",
            quantizer_name=given.quantizer_name,
            group_size=given.group_size,
        )
    for number, name in enumerate(given.lora_attn_modules):
        _check_known(f"algorithm_config.lora_attn_modules[{number}]", name, ATTENTION_MODULES)
    return TrainingAlgorithm(
        type="LoRA",
        lora_attn_modules=[
            "output_proj" if name == "o_proj" else name for name in dict.fromkeys(given.lora_attn_modules)
        ],
        apply_lora_to_mlp=given.apply_lora_to_mlp,
        apply_lora_to_output=given.apply_lora_to_output,
        rank=given.rank,
        alpha=given.alpha,
        use_dora=bool(given.use_dora),
        quantize_base=bool(given.quantize_base),
    )


def preference(given: DPOAlignmentConfig) -> TrainingAlgorithm:
    """Returns the algorithm of preference optimisation."""
    return TrainingAlgorithm(type="DPO", beta=given.beta, loss_type=given.loss_type or "sigmoid")


def check_unused(name: str, given: dict[str, Any] | None) -> None:
    """Raises Invalid for a configuration that has no meaning here."""
    if given:
        instead = (
            "start one job for each combination instead"
            if name == "hyperparam_search_config"
            else "losses are recorded anyway: read .../events, or the SQL view training_metrics"
        )
        raise Invalid(f"{name} must be empty ({{}}); {instead}.")


def _data(given: DataConfig) -> TrainingData:
    return TrainingData(
        dataset_id=given.dataset_id,
        batch_size=given.batch_size,
        shuffle=given.shuffle,
        data_format=given.data_format,
        validation_dataset_id=given.validation_dataset_id or "",
        packed=bool(given.packed),
        train_on_input=bool(given.train_on_input),
    )


def _optimizer(given: OptimizerConfig) -> Optimizer:
    return Optimizer(
        optimizer_type=given.optimizer_type,
        lr=given.lr,
        weight_decay=given.weight_decay,
        num_warmup_steps=given.num_warmup_steps,
    )


def _or_one(given: int | None) -> int:
    return 1 if given is None else given


def _check_known(where: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        near = nearest(given, known)
        meant = f" Did you mean {near!r}?" if near else ""
        raise Invalid(f"{where} is {given[:100]!r}; it must be one of {', '.join(known)}.{meant}")
