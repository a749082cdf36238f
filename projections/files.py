"""The files of the warehouse on disk: where they are, and how a damaged one is set aside."""

from __future__ import annotations

import os
import time
from pathlib import Path

# Enough to look into a fault that repeats, and a bound on the disk that it takes.
DAMAGED_COPIES_KEPT = 2
_MARK = ".damaged-"


def database_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.duckdb"


def next_path(folder: Path, name: str) -> Path:
    """Where the database file is built that will take the place of `database_path`."""
    return folder / f"{name}.next.duckdb"


def remove(path: Path) -> None:
    """Deletes a database file that is not open, and what belongs to it."""
    for part in _parts(path):
        part.unlink(missing_ok=True)


def replace(path: Path, new: Path) -> None:
    """Puts the closed database file `new` in the place of `path`, which is closed too. A crash leaves one or the other."""
    # Without its log the old file is behind, which its follower makes up for. The new one cannot be read with it.
    _wal(path).unlink(missing_ok=True)
    new.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_damaged_copies(folder: Path) -> int:
    """Deletes all copies that were set aside; returns how many. They hold content that was deleted since, and cannot
    be read to remove it."""
    copies = [copy for path in folder.glob(f"*{_MARK}*") if (copy := path).is_file()]
    for copy in copies:
        copy.unlink(missing_ok=True)
    return len(copies)


def wal_bytes(path: Path) -> int:
    """Size of the write-ahead log beside the database file, 0 when there is none."""
    try:
        return _wal(path).stat().st_size
    except FileNotFoundError:
        return 0


def is_incomplete(path: Path) -> bool:
    """Whether a write-ahead log lies there without the database it belongs to: the file was lost or emptied."""
    try:
        lost = path.stat().st_size == 0
    except FileNotFoundError:
        lost = True
    return lost and wal_bytes(path) > 0


def set_aside(path: Path) -> Path:
    """Moves the database file and what belongs to it out of the way, as `<name>.damaged-<time>`; returns the
    new path of the file. Keeps the latest copies only. Never overwrites an earlier copy."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"-{time.time_ns() % 1_000_000_000:09d}"
    aside = path.with_name(f"{path.name}{_MARK}{stamp}")
    for part in _parts(path):
        part.rename(path.with_name(f"{path.name}{_MARK}{stamp}{part.name.removeprefix(path.name)}"))
    for old in damaged_copies(path)[:-DAMAGED_COPIES_KEPT]:
        for part in path.parent.glob(f"{old.name}*"):
            part.unlink(missing_ok=True)
    return aside


def damaged_copies(path: Path) -> list[Path]:
    """Copies set aside earlier, oldest first; one path per copy, whatever parts of it there are."""
    stamps = {
        found.name.removeprefix(path.name + _MARK).split(".")[0]
        for found in path.parent.glob(f"{path.name}{_MARK}*")
    }
    return [path.with_name(f"{path.name}{_MARK}{stamp}") for stamp in sorted(stamps)]


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _parts(path: Path) -> list[Path]:
    return [found for found in path.parent.glob(f"{path.name}*") if _MARK not in found.name]
