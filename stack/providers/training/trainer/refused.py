"""Reasons for which a training job fails that its author can do something about."""

from __future__ import annotations


class InputRefused(Exception):
    """The request or its data are the reason (400). The text names it and the remedy."""


class TrainingFailed(Exception):
    """The machine or the course of the training is the reason."""


class Diverged(TrainingFailed):
    """A loss or a gradient is not a finite number. `step` is where it happened."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(
            f"{what} of step {step} is not a finite number; lower optimizer_config.lr, raise num_warmup_steps, or "
            "use dtype fp32, and check the weights of the base model"
        )
        self.step = step


class Stopped(Exception):
    """The job was cancelled; the last step is done."""
