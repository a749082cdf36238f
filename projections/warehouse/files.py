"""The files of the warehouse on disk: their paths, and setting damaged ones aside."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

# Enough to analyse a recurring fault, and a limit on the disk space.
DAMAGED_COPIES_KEPT = 2

SEALED_FOLDER = "sealed"
"""The folder of sealed files, which belong to the file of telemetry."""

Why = Literal["damaged", "lost"]
"""Why a file was set aside: it cannot be used, or it contains events that the log has lost."""
WHYS: tuple[Why, ...] = ("damaged", "lost")


def database_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.duckdb"


def next_path(folder: Path, name: str) -> Path:
    """Returns the path of the database file that is built to replace `database_path`."""
    return folder / f"{name}.next.duckdb"


def remove(path: Path) -> None:
    """Deletes a database file that is not open, and its related files."""
    for part in _parts(path):
        part.unlink(missing_ok=True)


def replace(path: Path, new: Path) -> None:
    """Replaces `path` by the database file `new`; both are closed. After a crash exactly one of them
    exists."""
    # Without its log the old file has an earlier position, from which its follower continues. The new file
    # must not be opened with the old log.
    _wal(path).unlink(missing_ok=True)
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names of the files in the folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_copies_set_aside(folder: Path) -> list[str]:
    """Deletes all copies that were set aside, because they contain content that was deleted since; returns
    the names of the files. Raises OSError."""
    copies = [copy for why in WHYS for copy in folder.glob(f"*.{why}-*") if copy.is_file()]
    for copy in copies:
        copy.unlink(missing_ok=True)
    return sorted(copy.name for copy in copies)


def wal_bytes(path: Path) -> int:
    """Returns the size of the write-ahead log next to the database file, 0 if it does not exist."""
    try:
        return _wal(path).stat().st_size
    except FileNotFoundError:
        return 0


def free_bytes(folder: Path) -> int:
    """Returns the number of bytes that this user may still write under `folder`."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def is_incomplete(path: Path) -> bool:
    """Returns whether a write-ahead log exists without its database: the file was lost or emptied."""
    try:
        lost = path.stat().st_size == 0
    except FileNotFoundError:
        lost = True
    return lost and wal_bytes(path) > 0


def set_aside(path: Path, why: Why = "damaged") -> Path:
    """Renames the database file and its related files, among them sealed ones, to `<name>.<why>-<time>`,
    readable by the owner only; returns the new path of the file. Never overwrites an earlier copy. Keeps the latest damaged copies only,
    and all copies that are the last copy of lost events."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"-{time.time_ns() % 1_000_000_000:09d}"
    aside = path.with_name(f"{path.name}.{why}-{stamp}")
    for part in _parts(path):
        part.chmod(0o600)
        part.rename(path.with_name(f"{aside.name}{part.name.removeprefix(path.name)}"))
    if path == database_path(path.parent, "telemetry"):
        for part in (path.parent / SEALED_FOLDER).glob("*.duckdb*"):
            part.rename(path.with_name(f"{aside.name}.{SEALED_FOLDER}-{part.name}"))
    for old in copies_set_aside(path, "damaged")[:-DAMAGED_COPIES_KEPT]:
        for part in path.parent.glob(f"{old.name}*"):
            part.unlink(missing_ok=True)
    return aside


def copies_set_aside(path: Path, *whys: Why) -> list[Path]:
    """Returns the copies that were set aside for one of these reasons (for any if none is given), oldest
    first; one path per copy, whichever parts of it exist."""
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
