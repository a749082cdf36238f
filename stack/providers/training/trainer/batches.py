"""Batches of samples as tensors, and the order in which an epoch reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch

from stack.providers.training.trainer.samples import IGNORED, Sample


class Batch(NamedTuple):
    """`inputs` are the arguments of the model. `targets` holds the token that follows each position, or IGNORED.
    `tokens` counts the positions without padding."""

    inputs: dict[str, Any]
    targets: Any
    tokens: int


def padded(samples: Sequence[Sample], pad: int, device: Any) -> Batch:
    """One sample per sequence, padded on the right."""
    longest = max(len(sample.tokens) for sample in samples)
    size = len(samples), longest
    tokens, mask = torch.full(size, pad), torch.zeros(size, dtype=torch.long)
    targets = torch.full(size, IGNORED)
    for number, sample in enumerate(samples):
        length = len(sample.tokens)
        tokens[number, :length] = torch.tensor(sample.tokens)
        mask[number, :length] = 1
        targets[number, : length - 1] = torch.tensor(sample.labels[1:])
    inputs = {"input_ids": tokens.to(device)}
    if int(mask.sum()) < mask.numel():
        inputs["attention_mask"] = mask.to(device)
    return Batch(inputs, targets.to(device), int(mask.sum()))


def packed(sequences: Sequence[Sequence[Sample]], pad: int, device: Any) -> Batch:
    """Several samples per sequence. Positions that begin again tell the model where a sample begins, so that attention
    stays within it; the padding at the end is a sample of its own."""
    totals = [sum(len(sample.tokens) for sample in sequence) for sequence in sequences]
    size = len(sequences), max(totals)
    tokens, targets = torch.full(size, pad), torch.full(size, IGNORED)
    positions = torch.zeros(size, dtype=torch.long)
    for number, (sequence, total) in enumerate(zip(sequences, totals, strict=True)):
        start = 0
        for sample in sequence:
            end = start + len(sample.tokens)
            tokens[number, start:end] = torch.tensor(sample.tokens)
            targets[number, start : end - 1] = torch.tensor(sample.labels[1:])
            positions[number, start:end] = torch.arange(end - start)
            start = end
        positions[number, total:] = torch.arange(size[1] - total)
    inputs = {"input_ids": tokens.to(device), "position_ids": positions.to(device)}
    return Batch(inputs, targets.to(device), sum(totals))


def flat(sequences: Sequence[Sequence[Sample]]) -> list[Sample]:
    return list(chain.from_iterable(sequences))


def order(count: int, shuffle: bool, seed: int) -> list[int]:
    """The numbers from 0 to `count` - 1, in an order that depends on nothing but `seed`."""
    if not shuffle:
        return list(range(count))
    numbers: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    return numbers


def chunks(numbers: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
