"""The files of the warehouse on disk: where they are, and how a damaged one is set aside."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

# Enough to look into a fault that repeats, and a bound on the disk that it takes.
DAMAGED_COPIES_KEPT = 2

Why = Literal["damaged", "lost"]
"""Of a file that was set aside: it cannot be used, or it holds events that the log has lost."""
WHYS: tuple[Why, ...] = ("damaged", "lost")


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


def remove_copies_set_aside(folder: Path) -> list[str]:
    """Deletes all copies that were set aside; returns the names of the files. They hold content that was deleted since,
    and nothing removes it from them. Raises OSError."""
    copies = [copy for why in WHYS for copy in folder.glob(f"*.{why}-*") if copy.is_file()]
    for copy in copies:
        copy.unlink(missing_ok=True)
    return sorted(copy.name for copy in copies)


def wal_bytes(path: Path) -> int:
    """Size of the write-ahead log next to the database file, 0 when there is none."""
    try:
        return _wal(path).stat().st_size
    except FileNotFoundError:
        return 0


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write below `folder`."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def is_incomplete(path: Path) -> bool:
    """Whether a write-ahead log lies there without the database it belongs to: the file was lost or emptied."""
    try:
        lost = path.stat().st_size == 0
    except FileNotFoundError:
        lost = True
    return lost and wal_bytes(path) > 0


def set_aside(path: Path, why: Why = "damaged") -> Path:
    """Moves the database file and what belongs to it out of the way, as `<name>.<why>-<time>`, readable by its owner
    alone; returns the new path of the file. Never overwrites an earlier copy. Keeps the latest damaged copies only,
    and all that are the last copy of lost events."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"-{time.time_ns() % 1_000_000_000:09d}"
    aside = path.with_name(f"{path.name}.{why}-{stamp}")
    for part in _parts(path):
        part.chmod(0o600)
        part.rename(path.with_name(f"{aside.name}{part.name.removeprefix(path.name)}"))
    for old in copies_set_aside(path, "damaged")[:-DAMAGED_COPIES_KEPT]:
        for part in path.parent.glob(f"{old.name}*"):
            part.unlink(missing_ok=True)
    return aside


def copies_set_aside(path: Path, *whys: Why) -> list[Path]:
    """Copies set aside earlier for one of these reasons (none named: for any), oldest first; one path per copy,
    whatever parts of it there are."""
    found = set()
    for why in whys or WHYS:
        mark = f"{path.name}.{why}-"
        for part in path.parent.glob(f"{mark}*"):
            stamp = part.name.removeprefix(mark).split(".")[0]
            found.add((stamp, path.with_name(f"{mark}{stamp}")))
    return [copy for _, copy in sorted(found)]


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _parts(path: Path) -> list[Path]:
    aside = tuple(f"{path.name}.{why}-" for why in WHYS)
    return [found for found in path.parent.glob(f"{path.name}*") if not found.name.startswith(aside)]
