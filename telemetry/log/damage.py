"""Copies of the damaged bytes of a telemetry log."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from telemetry.log.port import Damage
from telemetry.log.segment_scan import Gap

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
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        # The bytes are still in the segment.
        logger.warning("the damaged bytes of %s could not be copied: %s", damage.file, error)


def forget(folder: Path, until: int) -> None:
    """Removes the copies of bytes that belong to positions up to `until`."""
    for path in folder.glob(f"*{ENDING}"):
        if int(path.name.split("-")[1]) <= until:
            path.unlink(missing_ok=True)
