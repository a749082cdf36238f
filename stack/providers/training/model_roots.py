"""Folders of base models and checkpoints, which are below those that the operator named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from stack.errors import Invalid


class Folders:
    """`roots` are the folders of the setting `train_roots`; `own` is where the server keeps checkpoints."""

    def __init__(self, roots: Sequence[Path], own: Path, data: Path) -> None:
        self._roots = [Path(os.path.realpath(root.expanduser())) for root in roots]
        self._own = own
        self._data = Path(os.path.realpath(data))

    def model(self, name: str) -> Path | None:
        """Returns the folder that `name` refers to: a path, or a path relative to a root; None if there is
        none. Blocks. Raises Invalid for a folder outside of the roots."""
        if Path(name).is_absolute():
            found = Path(os.path.realpath(name))
            if not any(found.is_relative_to(root) for root in (*self._roots, self._own)):
                raise Invalid(
                    f"The model {name!r} is not in a folder of the setting train_roots; nothing else is read."
                )
            return found if found.is_dir() else None
        for root in self._roots:
            found = Path(os.path.realpath(root / name))
            if found.is_relative_to(root) and found != root and found.is_dir():
                return found
        return None

    def output(self, checkpoint_dir: str) -> Path:
        """Returns the absolute path of a folder for checkpoints; a relative path is one below the first root.
        Blocks. Raises Invalid for a folder outside of the roots, and for one that is not empty."""
        where = f"checkpoint_dir is {checkpoint_dir[:200]!r}"
        if not self._roots:
            raise Invalid(
                f"{where}, but no folder may be written to. Name some in the setting train_roots, or leave it out: the "
                "server then keeps the checkpoints in its own folder."
            )
        try:
            found = Path(os.path.realpath(self._roots[0] / checkpoint_dir))
            if not any(found.is_relative_to(root) for root in self._roots):
                raise Invalid(
                    f"{where}, which is not in a folder of the setting train_roots; nothing is written elsewhere."
                )
            if found.is_relative_to(self._data) or self._data.is_relative_to(found):
                raise Invalid(f"{where}, which overlaps the server's data folder; choose another.")
            if found.exists() and not found.is_dir():
                raise Invalid(f"{where}, which is not a folder.")
            if found.is_dir() and any(found.iterdir()):
                raise Invalid(f"{where}, which is not empty; name a new folder for each job.")
            above = next(one for one in (found, *found.parents) if one.is_dir())
            if not os.access(above, os.W_OK):
                raise Invalid(f"{where}, but {above} cannot be written to.")
        except (OSError, ValueError) as error:
            raise Invalid(f"{where}, which cannot be used: {error}.") from None
        return found
