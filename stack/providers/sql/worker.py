"""The worker process of users' SQL (see `stack.workers.child`): one snapshot, and its queries one by one."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from stack.providers.sql.functions import functions
from stack.providers.sql.tasks import REFUSED, Attach, Copy, Load, Refusal, Run, Task
from stack.workers.confinement import allow_computing_only, restrict_files

Frames = Iterator[tuple[int, int, bytes]]

_tasks: msgspec.json.Decoder[Task] = msgspec.json.Decoder(Task)
_THREADS = Path("/proc/self/task")
_database: Any = None
"""The open snapshot, a `Database`."""


def answer(task: bytes) -> bytes | Frames:
    global _database
    match _tasks.decode(task):
        case Load():
            _imported()
        case Copy() as copy:
            return _copied(copy)
        case Attach() as attach:
            _database = _attached(attach)
            return msgspec.json.encode(_database.attached)
        case Run() as run:
            return _ran(run)
    return b""


def _imported() -> None:
    """Everything that is read from files, because none can be opened later."""
    from stack.providers.sql.database import warm_up

    warm_up()
    functions()


def _copied(task: Copy) -> Frames:
    """Runs before this process has read anything of a caller, and is not confined yet."""
    folder = Path(task.folder)
    try:
        folder.mkdir(parents=True)
        sources = {name: Path(path) for name, path in task.files.items()}
        needed = sum(_size(part) for path in sources.values() for part in _parts(path))
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < needed + task.reserve_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for name, path in sources.items():
            # The database first: a log that is longer by then has later commits; without the database's
            # last checkpoint it would have a part of them twice.
            for part, copy in zip(_parts(path), _parts(folder / f"{name}.duckdb"), strict=True):
                if part.exists():
                    shutil.copyfile(part, copy)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        detail = f"The read models cannot be copied for SQL: {error.strerror}. Free space on the disk of the data folder."
        yield REFUSED, 0, msgspec.json.encode(Refusal(503, detail))


def _attached(task: Attach) -> Any:
    from stack.providers.sql.database import Database

    folder = Path(task.folder)
    # Landlock binds this thread and later ones: before DuckDB starts its own.
    if _THREADS.is_dir() and len(list(_THREADS.iterdir())) > 1:
        raise RuntimeError("the process has other threads already, which would not be confined")
    libraries = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    restrict_files([folder, Path(task.sealed), Path("/proc/self"), Path("/sys/fs/cgroup"), *libraries])
    database = Database(folder, task)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    allow_computing_only()
    return database


def _ran(task: Run) -> Frames:
    from stack.providers.sql.database import QueryRefused

    try:
        yield from _database.run(task)
    except QueryRefused as error:
        yield REFUSED, 0, msgspec.json.encode(Refusal(400, str(error)))


def _parts(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(f"{path.name}.wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
