"""Copies of the damaged bytes of a telemetry log, and their removal after a deletion."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from telemetry.log.port import Damage
from telemetry.log.segment_scan import FRAME_BYTES, Gap

logger = logging.getLogger("replaystack.telemetry")

ENDING = ".damaged"


def damage_of(path: Path, gap: Gap) -> Damage:
    return Damage(path.name, gap.offset, gap.size, gap.first, gap.last)


def aside(folder: Path, damage: Damage) -> Path:
    """Where the damaged bytes are kept."""
    return folder / f"{damage.first:020d}-{max(damage.first, damage.last):020d}-{damage.offset}{ENDING}"


def set_aside(folder: Path, damage: Damage) -> None:
    """Copies the damaged bytes to a file of their own; their segment stays as it is."""
    target = aside(folder, damage)
    if not damage.size or target.exists():
        return
    try:
        with (folder / damage.file).open("rb") as source:
            source.seek(damage.offset)
            content = source.read(damage.size)
        if content == _blank(damage.size):
            return
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        # The bytes are still in the segment.
        logger.warning("the damaged bytes of %s could not be copied: %s", damage.file, error)


def erase(folder: Path, damages: Iterable[Damage]) -> list[str]:
    """Overwrites the damaged bytes in their segments and deletes all copies; returns what was removed, as texts. No one
    can say whose content damaged bytes hold. Raises OSError."""
    removed = []
    for damage in damages:
        path = folder / damage.file
        if damage.size and path.exists() and _overwritten(path, damage):
            removed.append(f"{damage.size} damaged bytes at {damage.offset} of telemetry/{damage.file}")
    for copy in sorted(folder.glob(f"*{ENDING}")):
        copy.unlink(missing_ok=True)
        removed.append(f"telemetry/{copy.name}")
    return removed


def _overwritten(path: Path, damage: Damage) -> bool:
    blank = _blank(damage.size)
    with path.open("r+b") as file:
        file.seek(damage.offset)
        if file.read(damage.size) == blank:
            return False
        file.seek(damage.offset)
        file.write(blank)
        file.flush()
        os.fsync(file.fileno())
    return True


def _blank(size: int) -> bytes:
    """Bytes that are no frame, and at the end of a file not taken for what an unfinished write has left."""
    if size < FRAME_BYTES:
        return b"\xff" * size
    return (size - FRAME_BYTES).to_bytes(4, "little") + b"\xff" * (size - 4)


def forget(folder: Path, until: int) -> None:
    """Removes the copies of bytes that belong to positions up to `until`."""
    for path in folder.glob(f"*{ENDING}"):
        if int(path.name.split("-")[1]) <= until:
            path.unlink(missing_ok=True)
