"""The history of the prompt of `replaystack sql`: a file of the user."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

MAX_BYTES = 2**20
"""Half of a larger file is forgotten at the next start."""


def history_path() -> Path:
    """Returns the file in the folder for the state of programs (XDG base directory specification)."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    folder = state if state.is_absolute() else Path.home() / ".local" / "state"
    return folder / "replaystack" / "sql_history"


def opened_history(path: Path) -> tuple[History, str]:
    """Returns the history, and why it will not be kept; empty if it will. Only the owner may read the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.chmod(0o600)
        if path.stat().st_size > MAX_BYTES:
            _shorten(path)
    except OSError as error:
        return InMemoryHistory(), f"The history is not kept: {path}: {error.strerror}."
    return FileHistory(str(path)), ""


def _shorten(path: Path) -> None:
    content = path.read_bytes()[-MAX_BYTES // 2 :]
    # An entry begins with an empty line and the line of its time.
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.touch(0o600)
    fresh.write_bytes(content[max(0, content.find(b"\n# ")) :])
    fresh.replace(path)
