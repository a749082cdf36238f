"""The small files of a telemetry log next to its segments: its id, and the position up to which it was
trimmed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from projections.warehouse.files import sync_folder

EPOCH, TRIMMED = "epoch", "trimmed"


def epoch_of(folder: Path, adopted: str = "") -> str:
    """Returns the id of the log in `folder`, created once. If it is missing or empty, `adopted` is used, if
    given."""
    file = folder / EPOCH
    found = file.read_text(errors="replace").strip() if file.exists() else ""
    if not found:
        found = adopted or uuid4().hex
        write_synced(file, found)
    return found


def read_trimmed(folder: Path) -> int | None:
    """Returns the last position that retention has removed, 0 for none; None if it is unknown."""
    with suppress(FileNotFoundError, ValueError):
        return int((folder / TRIMMED).read_text(errors="replace"))
    return None


def write_trimmed(folder: Path, position: int) -> None:
    write_synced(folder / TRIMMED, str(position))


def write_synced(file: Path, text: str) -> None:
    """Replaces a file atomically and durably; only its owner may read it."""
    replace(file, text, sync=True)
    sync_folder(file.parent)


def replace(file: Path, text: str, *, sync: bool = False) -> None:
    """Replaces a file atomically. Without `sync` a crash of the machine may leave the old file or an empty
    one."""
    fresh = file.with_name(f"{file.name}.{uuid4().hex}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
        if sync:
            opened.flush()
            os.fsync(opened.fileno())
    fresh.replace(file)
