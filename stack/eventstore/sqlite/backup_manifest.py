"""A backup's manifest, and the marker that exists until the backup is complete.

A backup is written in this order: the marker, the files, the manifest, and then the marker is removed. The
log in it is also marked as part of a backup, so that a manifest that is lost later is noticed. The first
server that uses the folder removes these marks: from then on its files change.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from projections.warehouse.files import sync_folder
from stack.eventstore.reports import BACKUP_REMEDY, BackupIncomplete, Manifest
from stack.eventstore.sqlite.schema import BACKUP_KEY, FILE_NAME, connect_reader

MARKER_NAME = "backup.incomplete"
MANIFEST_NAME = "manifest.json"
RESTORED_NAME = "restored_from.json"
MANIFEST_VERSION = 1

# A backup has none of these, and every folder that a server has used has at least one.
_SERVED = (RESTORED_NAME, "node", "views.duckdb")
# Bytes 18 and 19 of a SQLite file, see "Database File Format", 1.3.3; 2 and 2 means WAL.
_ROLLBACK_JOURNAL = b"\x01\x01"


class _Version(Struct, frozen=True):
    version: int = 1


def unfinished(folder: Path) -> str:
    """Returns why the folder is an unfinished backup, with the remedy; empty if it is not one. Changes
    nothing."""
    problem = ""
    if (folder / MARKER_NAME).exists():
        problem = f"{MARKER_NAME} says that it was interrupted, or is still being written"
    elif not any((folder / name).exists() for name in (MANIFEST_NAME, *_SERVED)) and _says_backup(folder):
        problem = f"its {MANIFEST_NAME} is missing"
    return _with_remedy(folder, problem) if problem else ""


def require_complete(folder: Path) -> None:
    """Raises BackupIncomplete for an unfinished backup, and for one that no server has used yet whose
    manifest cannot be read or whose files are missing or have another size. The size of the log is not
    compared, because it has its own checks. Changes nothing."""
    problem = unfinished(folder)
    if not problem and (folder / MANIFEST_NAME).exists():
        if (folder / FILE_NAME).is_file() and not _says_backup(folder):
            return  # written by an earlier release, or the log is damaged, which its own checks report
        file = next(_misfits(folder), "")
        problem = _with_remedy(folder, file) if file else ""
    if problem:
        raise BackupIncomplete(problem)


def changed_files(folder: Path) -> list[str]:
    """Describes differences from the manifest; empty without a manifest (a folder that has been served)."""
    if not (folder / MANIFEST_NAME).exists():
        return []
    try:
        manifest = _read(folder)
    except ValueError as error:
        return [str(error)]
    problems = []
    for file in manifest.files:
        if not (folder / file.path).is_file():
            problems.append(f"{file.path} is missing")
        elif sha256_of(folder / file.path) != file.sha256:
            problems.append(f"{file.path} is not what was backed up")
    return problems


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest atomically, durable on return. Raises OSError."""
    fresh = folder / f"{MANIFEST_NAME}.new"
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / MANIFEST_NAME)
    sync_folder(folder)


def mark_restored(folder: Path) -> None:
    """Called when a server uses this folder: from now on its files differ from the manifest."""
    manifest = folder / MANIFEST_NAME
    if manifest.exists():
        manifest.replace(folder / RESTORED_NAME)
    (folder / MARKER_NAME).unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _with_remedy(folder: Path, problem: str) -> str:
    return f"The backup in {folder} is incomplete: {problem}. {BACKUP_REMEDY}"


def _misfits(folder: Path) -> Iterator[str]:
    try:
        manifest = _read(folder)
    except ValueError as error:
        yield str(error)
        return
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            yield f"{file.path} is missing"
        elif file.path != FILE_NAME and path.stat().st_size != file.bytes:
            yield f"{file.path} has {path.stat().st_size} bytes, not {file.bytes}"


def _says_backup(folder: Path) -> bool:
    """Returns whether the log is a copy that no server has used. A log in use is in WAL mode, which its
    header shows, so it is not opened."""
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            if file.read(20)[18:] != _ROLLBACK_JOURNAL:
                return False
        with closing(connect_reader(path)) as db:
            return bool(db.execute("SELECT 1 FROM log_info WHERE key = ?", (BACKUP_KEY,)).fetchone())
    except (OSError, sqlite3.Error):
        return False


def _read(folder: Path) -> Manifest:
    """Raises ValueError with the reason, for the operator."""
    try:
        content = (folder / MANIFEST_NAME).read_bytes()
        version = msgspec.json.decode(content, type=_Version).version
        if version > MANIFEST_VERSION:
            raise ValueError(
                f"{MANIFEST_NAME} has version {version}, written by a later release; this one reads version "
                f"{MANIFEST_VERSION}"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{MANIFEST_NAME} cannot be read: {error}") from error
    for file in manifest.files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{MANIFEST_NAME} cannot be read: it names {file.path}, outside of the backup")
    return manifest
