"""Objectives: the loss of the next token, and the shape of any loss that is minimised.

A loss is a sum over tokens (or pairs), so that a step over several batches divides it by the number in all of
them: accumulating gradients then equals one large batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional

from stack.providers.training.protocol import Job
from stack.providers.training.trainer import batches
from stack.providers.training.trainer.base_model import Base
from stack.providers.training.trainer.batches import Batch
from stack.providers.training.trainer.samples import IGNORED, Renderer, Sample, pack, read_samples

Sums = dict[str, float]
"""Sums by name. `loss` divided by `weight` is the loss; `nll` and `nll_tokens` give the perplexity."""
_PACKED_TOKENS = 2048
"""Length of a packed sequence, unless a sample is longer or the model's context is shorter."""


def add(sums: Sums, more: Sums) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0) + value


class Objective(Protocol):
    """Items are counted from 0: samples, packed sequences or pairs."""

    count: int
    validation_count: int

    def weight(self, numbers: Sequence[int]) -> int:
        """Returns by which number the sum of these items' losses is divided."""

    def loss(self, model: Any, numbers: Sequence[int], validation: bool = False) -> tuple[Any, Sums]:
        """Returns the sum of the losses, for the gradient, and sums to report: among them `loss`, `weight` and
        `tokens`, the positions without padding."""


class Supervised:
    """The cross entropy of each trained token."""

    def __init__(self, job: Job, base: Base, device: Any) -> None:
        data = job.config.data
        renderer = Renderer(base.tokenizer, base.context, base.vocabulary)
        samples = read_samples(job.rows, renderer, data.data_format, data.train_on_input)
        held_out = []
        if job.validation_rows:
            held_out = read_samples(job.validation_rows, renderer, data.data_format, data.train_on_input)
        self._pad = base.pad
        self._device = device
        self._packed = data.packed
        self._items = self._sequences(samples, base.context)
        self._validation = self._sequences(held_out, base.context)
        self.count, self.validation_count = len(self._items), len(self._validation)

    def weight(self, numbers: Sequence[int]) -> int:
        return sum(sample.trained for number in numbers for sample in self._items[number])

    def loss(self, model: Any, numbers: Sequence[int], validation: bool = False) -> tuple[Any, Sums]:
        items = self._validation if validation else self._items
        batch = self.batch([items[number] for number in numbers])
        logits, targets = trained_logits(model, batch)
        loss = functional.cross_entropy(logits, targets, reduction="sum")
        value = float(loss.detach())
        tokens = targets.numel()
        sums = {"loss": value, "weight": tokens, "nll": value, "nll_tokens": tokens, "tokens": batch.tokens}
        return loss, sums

    def batch(self, sequences: list[list[Sample]]) -> Batch:
        if self._packed:
            return batches.packed(sequences, self._pad, self._device)
        return batches.padded(batches.flat(sequences), self._pad, self._device)

    def samples(self, number: int) -> list[Sample]:
        """Returns the samples of an item."""
        return self._items[number]

    def _sequences(self, samples: list[Sample], context: int) -> list[list[Sample]]:
        if not self._packed:
            return [[sample] for sample in samples]
        longest = max((len(sample.tokens) for sample in samples), default=0)
        return pack(samples, max(longest, min(context, _PACKED_TOKENS)))


def trained_logits(model: Any, batch: Batch) -> tuple[Any, Any]:
    """Returns the logits (trained positions x vocabulary, in float32) and the targets of the positions that have a target.
    The output layer computes no other columns, where the model allows to name them."""
    used = batch.targets != IGNORED
    inputs = batch.inputs
    targets = batch.targets
    if _can_name_positions(model):
        columns = used.any(0).nonzero()[:, 0]
        inputs = {**inputs, "logits_to_keep": columns}
        used, targets = used[:, columns], targets[:, columns]
    logits = model(**inputs, use_cache=False).logits
    return logits[used].float(), targets[used]


def _can_name_positions(model: Any) -> bool:
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(type(inner).forward).parameters


def check_packing(model: Any, objective: Supervised) -> bool:
    """Returns whether the model keeps attention within the samples of the first sequence that has several:
    whether their losses are those that they have alone."""
    sequence = next((one for one in map(objective.samples, range(objective.count)) if len(one) > 1), None)
    if sequence is None:
        return True
    sequence = sequence[:3]
    with torch.no_grad():
        together = _losses(model, objective.batch([sequence]))
        alone = torch.cat([_losses(model, objective.batch([[sample]])) for sample in sequence])
    # Rounding differs with the shape of a matrix; attention to another sample changes losses by far more.
    return bool(torch.allclose(together, alone, rtol=0.05, atol=0.05))


def _losses(model: Any, batch: Batch) -> Any:
    logits, targets = trained_logits(model, batch)
    return functional.cross_entropy(logits, targets, reduction="none")
