"""Preference optimisation: losses of Direct Preference Optimization and its relatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from stack.providers.training.protocol import Job
from stack.providers.training.trainer import batches
from stack.providers.training.trainer.base_model import Base
from stack.providers.training.trainer.objective import Sums, trained_logits
from stack.providers.training.trainer.samples import IGNORED, Pair, Renderer, read_pairs


class Ratios(NamedTuple):
    """By how much the trained model finds the answers more probable than the base model does: differences of
    log-probabilities, summed over an answer's tokens, whose numbers are the lengths. One value for each pair."""

    chosen: Any
    rejected: Any
    chosen_lengths: Any
    rejected_lengths: Any


def sigmoid(ratios: Ratios, beta: float) -> Any:
    """Rafailov et al. 2023, Direct Preference Optimization, equation 7."""
    return -functional.logsigmoid(beta * (ratios.chosen - ratios.rejected))


def hinge(ratios: Ratios, beta: float) -> Any:
    """Zhao et al. 2023, SLiC-HF, with the ratio as the score and 1 / beta as the margin."""
    return torch.relu(1 - beta * (ratios.chosen - ratios.rejected))


def ipo(ratios: Ratios, beta: float) -> Any:
    """Azar et al. 2023, A General Theoretical Paradigm to Understand Learning from Human Preferences, equation
    17, with averages over an answer's tokens, as its authors confirmed to TRL."""
    difference = ratios.chosen / ratios.chosen_lengths - ratios.rejected / ratios.rejected_lengths
    return (difference - 1 / (2 * beta)) ** 2


def kto_pair(ratios: Ratios, beta: float) -> Any:
    """Ethayarajh et al. 2024, KTO: Model Alignment as Prospect Theoretic Optimization, equation 8, for pairs as in TRL
    before 0.9: the divergence from the base model is estimated by the mean ratio of the other answers of the batch,
    not below 0, and is not differentiated. The mean of a pair's two losses."""
    of_chosen = ratios.chosen.detach().mean().clamp(min=0)
    of_rejected = ratios.rejected.detach().mean().clamp(min=0)
    desirable = 1 - torch.sigmoid(beta * (ratios.chosen - of_rejected))
    undesirable = 1 - torch.sigmoid(beta * (of_chosen - ratios.rejected))
    return (desirable + undesirable) / 2


LOSSES: dict[str, Callable[[Ratios, float], Any]] = {
    "sigmoid": sigmoid,
    "hinge": hinge,
    "ipo": ipo,
    "kto_pair": kto_pair,
}


class Preference:
    """The loss of each pair. The log-probabilities of the base model are computed once, by `consult`, so that
    it need not stay in memory."""

    def __init__(self, job: Job, base: Base, device: Any) -> None:
        renderer = Renderer(base.tokenizer, base.context, base.vocabulary)
        self._pairs = read_pairs(job.rows, renderer)
        self._validation = read_pairs(job.validation_rows, renderer) if job.validation_rows else []
        self._pad = base.pad
        self._device = device
        self._beta = job.algorithm.beta
        self._loss = LOSSES[job.algorithm.loss_type]
        self._reference: dict[tuple[bool, int], tuple[float, float]] = {}
        self.count, self.validation_count = len(self._pairs), len(self._validation)

    def consult(self, model: Any, numbers: Iterable[Sequence[int]], validation: bool = False) -> None:
        """Computes the log-probabilities that the base model gives to batches of pairs."""
        with torch.no_grad():
            for batch in numbers:
                logps, _, _ = self._logps(model, batch, validation)
                chosen, rejected = logps.chunk(2)
                for number, one, other in zip(batch, chosen.tolist(), rejected.tolist(), strict=True):
                    self._reference[validation, number] = one, other

    def weight(self, numbers: Sequence[int]) -> int:
        return len(numbers)

    def loss(self, model: Any, numbers: Sequence[int], validation: bool = False) -> tuple[Any, Sums]:
        logps, lengths, tokens = self._logps(model, numbers, validation)
        reference = [self._reference[validation, number] for number in numbers]
        base = torch.tensor([*(one for one, _ in reference), *(other for _, other in reference)])
        chosen, rejected = (logps - base.to(self._device)).chunk(2)
        chosen_lengths, rejected_lengths = lengths.chunk(2)
        loss = self._loss(Ratios(chosen, rejected, chosen_lengths, rejected_lengths), self._beta).sum()
        margins = self._beta * (chosen - rejected).detach()
        sums = {
            "loss": float(loss.detach()),
            "weight": len(numbers),
            "tokens": tokens,
            "nll": -float(logps.detach()[: len(numbers)].sum()),
            "nll_tokens": int(chosen_lengths.sum()),
            "reward_margin": float(margins.sum()),
            "reward_accuracy": float((margins > 0).sum()),
        }
        return loss, sums

    def _logps(self, model: Any, numbers: Sequence[int], validation: bool) -> tuple[Any, Any, int]:
        """Returns the log-probabilities and lengths of the chosen, then the rejected answers, and the number
        of positions without padding."""
        pairs: list[Pair] = [(self._validation if validation else self._pairs)[number] for number in numbers]
        samples = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        batch = batches.padded(samples, self._pad, self._device)
        logits, targets = trained_logits(model, batch)
        losses = functional.cross_entropy(logits, targets, reduction="none")
        used = batch.targets != IGNORED
        rows = used.nonzero()[:, 0]
        logps = torch.zeros(len(samples), device=self._device).index_add(0, rows, -losses)
        return logps, used.sum(1), batch.tokens
