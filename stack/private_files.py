"""Keeps the server's files readable by their owner only: folders 700, files 600.

New files get their mode from the process's umask, whichever library creates them (SQLite, DuckDB, worker
processes). Permissions of existing files are restricted when their folder is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PRIVATE_UMASK = 0o077
_OTHERS = 0o077
# The files that a server or a backup creates. Anything else in the folder belongs to others and is not
# changed.
_OURS = (
    "backup",
    "blobs",
    "checkpoints",
    "collections",
    "events.",
    "lock",
    "manifest.json",
    "node",
    "oauth",
    "reserve",
    "restored_from.json",
    "sealed",
    "server.",
    "spill",
    "telemetry",
    "training",
    "views.",
)

_user_umask: int | None = None


def restrict_umask() -> None:
    """Makes all files private that this process and its children create from now on. Idempotent."""
    global _user_umask
    before = os.umask(PRIVATE_UMASK)
    if _user_umask is None:
        _user_umask = before


@contextmanager
def user_umask() -> Iterator[None]:
    """Within the block, files get the user's default modes: for files that a command writes for the user."""
    before = os.umask(PRIVATE_UMASK if _user_umask is None else _user_umask)
    if _user_umask is None:
        os.umask(before)
    try:
        yield
    finally:
        os.umask(before)


def make_private(folder: Path) -> str:
    """Removes the permissions of group and others from `folder` and from the server's files in it. Returns a
    description of what could not be changed; empty if everything is private. Raises OSError if the folder
    cannot be listed."""
    open_to_others: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_OURS):
                _tighten_entry(entry, open_to_others, skip_private_folders=False)
    if folder.stat().st_mode & stat.S_ISVTX:
        return f"{folder} is shared by all users (sticky bit), so its own permissions were left as they are"
    _tighten(folder, open_to_others)
    if not open_to_others:
        return ""
    path = open_to_others[-1]
    found = path.stat()
    owner = f" and belongs to the user {found.st_uid}" if found.st_uid != os.geteuid() else ""
    others = f" (and {len(open_to_others) - 1} more)" if len(open_to_others) > 1 else ""
    return (
        f"Other users can read {path}{others}: its mode is {stat.S_IMODE(found.st_mode):o}{owner}, and it cannot be "
        "changed"
    )


def _tighten_entry(
    entry: os.DirEntry[str], open_to_others: list[Path], *, skip_private_folders: bool
) -> None:
    path = Path(entry.path)
    if entry.is_dir(follow_symlinks=False):
        # There may be a million blobs. A folder is restricted after its content, so a private one is
        # complete.
        if skip_private_folders and not entry.stat(follow_symlinks=False).st_mode & _OTHERS:
            return
        with os.scandir(path) as entries:
            for inner in entries:
                _tighten_entry(inner, open_to_others, skip_private_folders=True)
    elif entry.is_symlink():
        return
    _tighten(path, open_to_others)


def _tighten(path: Path, open_to_others: list[Path]) -> None:
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            with suppress(PermissionError, NotImplementedError):
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
            # Some file systems accept a chmod without effect.
            if path.stat().st_mode & _OTHERS:
                open_to_others.append(path)
    except FileNotFoundError:
        return
