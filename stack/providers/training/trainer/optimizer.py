"""The optimizers of the contract, and the learning rate of a step."""

from __future__ import annotations

import math
from typing import Any

import torch

from schemas.events.payload import Optimizer

MAX_GRADIENT_NORM = 1.0
"""Gradients are scaled down to this norm, the default of transformers and TRL; the contract has no field for it."""


def build(config: Optimizer, parameters: list[Any]) -> Any:
    """Weight decay acts on matrices only, not on biases and norms, as in transformers."""
    groups = [
        {"params": [one for one in parameters if one.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer_type == "sgd":
        return torch.optim.SGD(groups, lr=config.lr)
    kind = torch.optim.AdamW if config.optimizer_type == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.lr, fused=True)


def learning_rate(config: Optimizer, step: int, total: int) -> float:
    """Returns the rate of a step, counted from 1: it rises linearly from 0 in the first `num_warmup_steps` steps,
    then falls to 0 as half a cosine, as in torchtune's recipes."""
    done = step - 1
    if done < config.num_warmup_steps:
        return config.lr * done / config.num_warmup_steps
    progress = (done - config.num_warmup_steps) / max(1, total - config.num_warmup_steps)
    return config.lr * max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))
