"""Copies a data folder's log, blobs and telemetry log, while a server uses them or not.

A backup is a folder that a server can be started on. It has the positions of the original but an epoch of its
own, so that views built from one are never taken for views of the other.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import msgspec
from msgspec import Struct

from stack.errors import Conflict, NotFound, Unavailable
from stack.eventstore import chain
from stack.eventstore.blobs import BlobStore, sync_folder
from stack.eventstore.sqlite_schema import FILE_NAME, connect_reader
from stack.private_files import make_private, restrict_umask
from telemetry import log_check

_log = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.json"
_RESTORED_NAME = "restored_from.json"
# A redaction in the middle of copying removes a blob; then the log is copied again, which needs it no more.
_ATTEMPTS = 5


class ManifestFile(Struct, frozen=True):
    """`path` is relative to the backup, `sha256` in hex."""

    path: str
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What a backup holds: events up to position `head`, and every file."""

    epoch: str
    source_epoch: str
    head: int
    files: tuple[ManifestFile, ...]


def backup(source_folder: Path, target_folder: Path) -> Manifest:
    """Copies the log and its blobs into `target_folder`, synced to disk. Raises NotFound without a log,
    Conflict when the target holds anything, Unavailable when reading or writing fails."""
    source = source_folder / FILE_NAME
    if not source.is_file():
        raise NotFound(f"There is no event log in {source_folder}.")
    if target_folder.exists() and (not target_folder.is_dir() or any(target_folder.iterdir())):
        raise Conflict(f"{target_folder} is not an empty folder. Name a new one.")
    try:
        return _copy(source, target_folder)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"The backup failed and is incomplete: {error}.") from error


def mark_restored(folder: Path) -> None:
    """A server runs on this folder: from now on its files are no longer those of the manifest."""
    manifest = folder / MANIFEST_NAME
    if manifest.exists():
        manifest.replace(folder / _RESTORED_NAME)


def changed_files(folder: Path) -> list[str]:
    """What differs from the manifest, in words; empty without a manifest (a folder that has been served)."""
    path = folder / MANIFEST_NAME
    if not path.exists():
        return []
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        return [f"{MANIFEST_NAME} cannot be read: {error}"]
    problems = []
    for file in manifest.files:
        if not (folder / file.path).is_file():
            problems.append(f"{file.path} is missing")
        elif _sha256(folder / file.path) != file.sha256:
            problems.append(f"{file.path} is not what was backed up")
    return problems


def _copy(source: Path, target_folder: Path) -> Manifest:
    restrict_umask()
    target_folder.mkdir(parents=True, exist_ok=True)
    problem = make_private(target_folder)
    if problem:
        _log.warning("%s. Use chown and chmod, or choose another target.", problem)
    target = target_folder / FILE_NAME
    blobs, copies = BlobStore(source.parent / "blobs"), BlobStore(target_folder / "blobs")
    for attempt in range(_ATTEMPTS):
        source_epoch, epoch, head, digests = _copy_log(source, target)
        missing = [digest for digest in digests if not _copy_blob(blobs, copies, digest)]
        if not missing:
            break
        if attempt == _ATTEMPTS - 1:
            raise OSError(f"blob {missing[0]} is missing from {blobs.folder}; verify tells more")
    _drop_others(copies, set(digests))
    telemetry = log_check.copy(source.parent / "telemetry", target_folder / "telemetry")
    files = [target, *(copies.path(digest) for digest in digests), *telemetry]
    manifest = Manifest(
        epoch, source_epoch, head, tuple(_described(file, target_folder) for file in sorted(files))
    )
    _write_synced(target_folder / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(manifest)))
    _sync(target_folder, files)
    return manifest


def _copy_log(source: Path, target: Path) -> tuple[str, str, int, list[str]]:
    target.unlink(missing_ok=True)
    with closing(connect_reader(source)) as reader, closing(sqlite3.connect(target)) as copy:
        # In one step, hence in one snapshot: appends go on beside it and do not make it start again.
        reader.backup(copy)
        # One file without a WAL beside it; opening the log switches back.
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        source_epoch = copy.execute("SELECT value FROM log_info WHERE key = 'epoch'").fetchone()[0]
        epoch = uuid4().hex
        with copy:
            chain.set_epoch(copy, epoch)
        head = copy.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0]
        digests = [row[0] for row in copy.execute("SELECT DISTINCT digest FROM blob_refs ORDER BY digest")]
    return source_epoch, epoch, head, digests


def _copy_blob(blobs: BlobStore, copies: BlobStore, digest: str) -> bool:
    target = copies.path(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(blobs.path(digest), target)
    except FileNotFoundError:
        return False
    return True


def _drop_others(copies: BlobStore, digests: set[str]) -> None:
    """Blobs copied in an earlier attempt whose content has been redacted since."""
    for file in copies.folder.glob("??/*"):
        if file.name not in digests:
            file.unlink()


def _described(file: Path, folder: Path) -> ManifestFile:
    return ManifestFile(file.relative_to(folder).as_posix(), file.stat().st_size, _sha256(file))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path, files: list[Path]) -> None:
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    for inner in {folder.parent, folder, *(file.parent for file in files)}:
        sync_folder(inner)
