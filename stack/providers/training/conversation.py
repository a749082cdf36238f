"""Reads what a training worker writes, and refuses what the protocol does not allow at that point."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from stack.providers.training.protocol import (
    PROTOCOL,
    Alive,
    Cancelled,
    Checkpoint,
    Completed,
    Epoch,
    Failed,
    Job,
    Message,
    Prepared,
    Ready,
    Step,
    checkpoint_path,
)

SHOWN_BYTES = 200


class ProtocolBroken(Exception):
    """The worker wrote something that is not allowed. The text says what, for people."""


_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class Conversation:
    """The state of one worker's report. `step` is the last step that it reported, or those done before it
    was started."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._is_ready = False
        self._is_prepared = False
        self._epoch_done = False
        self.step = job.steps_done
        self.epochs_saved = job.epochs_done
        self.end: Completed | Failed | Cancelled | None = None

    def accept(self, line: bytes) -> Message:
        """Returns the message of the next line. Raises ProtocolBroken."""
        try:
            message = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolBroken(f"it wrote a line that is not a message ({error}): {_shown(line)}") from None
        problem = self._problem(message)
        if problem:
            raise ProtocolBroken(f"it wrote {_shown(line)}, but {problem}")
        return message

    def _problem(self, message: Message) -> str:
        if self.end is not None:
            return "its last message came before"
        if isinstance(message, Ready):
            return self._begin(message)
        if not self._is_ready:
            return "`ready` comes first"
        match message:
            case Failed() | Cancelled():
                self.end = message
            case Prepared():
                if self._is_prepared:
                    return "it was prepared before"
                if message.total_steps < 0 or message.samples < 1:
                    return "there is nothing to train"
                self._is_prepared = True
            case Alive():
                pass
            case _ if not self._is_prepared:
                return "`prepared` comes first"
            case Step():
                return self._step(message)
            case Epoch():
                return self._epoch(message)
            case Checkpoint():
                return self._checkpoint(message)
            case Completed():
                return self._complete(message)
        return ""

    def _begin(self, message: Ready) -> str:
        if self._is_ready:
            return "it was ready before"
        if message.protocol != PROTOCOL:
            return f"this server speaks protocol {PROTOCOL}"
        self._is_ready = True
        return ""

    def _step(self, message: Step) -> str:
        if self._epoch_done:
            return "the checkpoint of the epoch comes first"
        if message.step != self.step + 1:
            return f"step {self.step + 1} comes next"
        if message.epoch != self.epochs_saved + 1:
            return f"epoch {self.epochs_saved + 1} is not done"
        if message.epoch > self._job.config.n_epochs:
            return "all epochs are done"
        if not all(map(math.isfinite, (message.loss, message.learning_rate, message.ms))):
            return "it holds a number that is not finite"
        self.step = message.step
        return ""

    def _epoch(self, message: Epoch) -> str:
        if self._epoch_done or message.epoch != self.epochs_saved + 1:
            return "another epoch comes next"
        if message.last_step != self.step:
            return f"the last step was {self.step}"
        self._epoch_done = True
        return ""

    def _checkpoint(self, message: Checkpoint) -> str:
        if not self._epoch_done or message.epoch != self.epochs_saved + 1:
            return "another epoch comes next"
        if message.step != self.step:
            return f"the last step was {self.step}"
        if message.path != checkpoint_path(self._job.output, message.epoch):
            return f"the checkpoint belongs into {checkpoint_path(self._job.output, message.epoch)}"
        if not Path(message.path).is_dir():
            return "there is no such folder"
        self._epoch_done = False
        self.epochs_saved = message.epoch
        return ""

    def _complete(self, message: Completed) -> str:
        if self.epochs_saved != self._job.config.n_epochs:
            return f"only {self.epochs_saved} of {self._job.config.n_epochs} epochs are saved"
        self.end = message
        return ""


def _shown(line: bytes) -> str:
    cut = line[:SHOWN_BYTES] + (b"..." if len(line) > SHOWN_BYTES else b"")
    return repr(cut.decode("utf-8", "replace"))
