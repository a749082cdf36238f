"""Damage of a telemetry log: known damage, copies of the damaged bytes, and their removal after a
deletion."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock

from telemetry.log.accepted import not_accepted, read_accepted, write_accepted
from telemetry.log.port import Accepted, Damage
from telemetry.log.segment_scan import FRAME_BYTES, Gap

logger = logging.getLogger("replaystack.telemetry")

ENDING = ".damaged"


class KnownDamage:
    """The known damage and losses of the log in `folder`, and what of it was accepted. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._found: dict[tuple[str, int], Damage] = {}
        self._accepted = read_accepted(folder)

    def note(self, path: Path, gaps: Iterable[Gap], trimmed: int) -> None:
        """Records damage. Positions up to `trimmed` are no longer part of the log."""
        for gap in gaps:
            damage = damage_of(path, gap)
            with self._lock:
                if damage.last >= damage.first and damage.last <= trimmed:
                    continue
                if self._found.get((damage.file, damage.offset)) == damage:
                    continue
                self._found[damage.file, damage.offset] = damage
                is_accepted = not not_accepted([damage], self._accepted)
            if not is_accepted:
                logger.error("the telemetry log is damaged: %s", damage)
            set_aside(self._folder, damage)

    def all(self) -> list[Damage]:
        """Returns all damage in the order of positions."""
        with self._lock:
            return sorted(self._found.values(), key=lambda damage: (damage.first, damage.offset))

    def accepted(self) -> Sequence[Accepted]:
        return self._accepted

    def accept(self) -> None:
        """Accepts all known damage. Durable on return. Raises OSError."""
        fresh = not_accepted(self.all(), self._accepted)
        if not fresh:
            return
        with self._lock:
            accepted = (*self._accepted, Accepted.now(fresh))
            write_accepted(self._folder, accepted)
            self._accepted = accepted
        for damage in fresh:
            logger.warning("the loss in the telemetry log was accepted: %s", damage)

    def forget(self, until: int) -> None:
        """Must be called after requests up to this position were removed, with their damage. Raises
        OSError."""
        with self._lock:
            self._found = {
                key: damage for key, damage in self._found.items() if max(damage.first, damage.last) > until
            }
            accepted = tuple(
                one for one in (earlier.without(until) for earlier in self._accepted) if one.damages
            )
            if accepted != self._accepted:
                write_accepted(self._folder, accepted)
                self._accepted = accepted
        for path in self._folder.glob(f"*{ENDING}"):
            if int(path.name.split("-")[1]) <= until:
                path.unlink(missing_ok=True)


def damage_of(path: Path, gap: Gap) -> Damage:
    return Damage(path.name, gap.offset, gap.size, gap.first, gap.last)


def aside(folder: Path, damage: Damage) -> Path:
    """Returns the path at which the damaged bytes are kept."""
    return folder / f"{damage.first:020d}-{max(damage.first, damage.last):020d}-{damage.offset}{ENDING}"


def set_aside(folder: Path, damage: Damage) -> None:
    """Copies the damaged bytes to a separate file; their segment is not changed."""
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
    """Overwrites the damaged bytes in their segments and deletes all copies, because their owner is unknown;
    returns texts that name what was removed. Raises OSError."""
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
    """Returns bytes that are not a frame, and are not mistaken for an unfinished write at the end of a
    file."""
    if size < FRAME_BYTES:
        return b"\xff" * size
    return (size - FRAME_BYTES).to_bytes(4, "little") + b"\xff" * (size - 4)
