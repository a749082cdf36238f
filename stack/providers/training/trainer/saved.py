"""Folders that appear whole: checkpoints, and the states from which a job continues.

A state has the trained weights and the optimizer's. Random numbers begin again with each epoch, and learning rates
follow from the step, so neither is part of it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stack.providers.training.protocol import state_path
from stack.providers.training.trainer.refused import TrainingFailed


def save_folder(target: Path, fill: Callable[[Path], None]) -> int:
    """Writes a folder under another name, syncs and renames it; replaces one that exists. Returns its size in
    bytes. Raises TrainingFailed if there is no space, or the place cannot be written."""
    partial, old = (target.with_name(f".{target.name}.{kind}") for kind in ("partial", "old"))
    try:
        _remove(partial, old)
        partial.mkdir(parents=True)
        fill(partial)
        size = _sync(partial)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        _sync_entry(target.parent)
        _remove(old)
    except Exception as error:
        _remove(partial)
        if reason := _disk_reason(error):
            raise TrainingFailed(
                f"{target} could not be written: {reason}; make space there, and start the job again"
            ) from error
        raise
    return size


def digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each weights file."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


class State:
    """The trained weights and the optimizer after an epoch, in folders of `place`."""

    def __init__(self, place: str, model: Any, optimizer: Any) -> None:
        self._place = place
        self._weights = {name: one for name, one in model.named_parameters() if one.requires_grad}
        self._optimizer = optimizer

    def save(self, epoch: int, step: int) -> None:
        """Keeps the state of the previous epoch, which the server may still refer to, and none before it."""

        def fill(folder: Path) -> None:
            torch.save(
                {"weights": self._weights, "optimizer": self._optimizer.state_dict()}, folder / "state.pt"
            )
            (folder / "state.json").write_text(json.dumps({"epoch": epoch, "step": step}))

        save_folder(Path(state_path(self._place, epoch)), fill)
        for number in saved_epochs(self._place):
            if number < epoch - 1:
                _remove(Path(state_path(self._place, number)))

    def restore(self, epoch: int) -> int:
        """Returns the number of steps that were done."""
        folder = Path(state_path(self._place, epoch))
        saved = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
        with torch.no_grad():
            for name, one in self._weights.items():
                one.copy_(saved["weights"][name])
        self._optimizer.load_state_dict(saved["optimizer"])
        return int(json.loads((folder / "state.json").read_text())["step"])


def saved_epochs(place: str) -> list[int]:
    """Returns the epochs of which there is a state, in ascending order."""
    prefix = Path(state_path(place, 0)).name.removesuffix("0")
    if not Path(place).is_dir():
        return []
    names = [path.name.removeprefix(prefix) for path in Path(place).iterdir() if path.name.startswith(prefix)]
    return sorted(int(name) for name in names if name.isdecimal())


def _sync(folder: Path) -> int:
    size = 0
    for path in (*(one for one in folder.rglob("*") if one.is_file()), folder):
        _sync_entry(path)
        size += path.stat().st_size if path != folder else 0
    return size


def _sync_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _disk_reason(error: BaseException | None) -> str:
    """Returns why the disk refused; empty if it is not the reason. Torch and safetensors have exceptions of
    their own for it, which have no error number."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return os.strerror(error.errno)
        for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO):
            if os.strerror(number) in str(error):
                return os.strerror(number)
        if "PytorchStreamWriter" in str(error) or "unexpected pos" in str(error):
            return "the disk is full"
        error = error.__cause__ or error.__context__
    return ""
