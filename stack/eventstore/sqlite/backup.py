"""Copies a data folder's log, blobs and telemetry log, with or without a running server.

A backup is a folder from which a server can be started. It has the positions of the original but a new epoch,
so that views built from one are never used for the other.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

from projections.warehouse.files import sync_folder
from stack.errors import Conflict, NotFound, Unavailable
from stack.eventstore.blobs import BlobStore
from stack.eventstore.reports import Manifest, ManifestFile
from stack.eventstore.sqlite import chain
from stack.eventstore.sqlite.backup_manifest import (
    MANIFEST_NAME,
    MANIFEST_VERSION,
    MARKER_NAME,
    sha256_of,
    write_manifest,
)
from stack.eventstore.sqlite.schema import BACKUP_KEY, FILE_NAME, connect_reader
from stack.private_files import make_private, restrict_umask
from telemetry.log import log_check

_log = logging.getLogger(__name__)

# A redaction during the copying removes a blob; then the log is copied again, which no longer needs it.
_ATTEMPTS = 5


def backup(source_folder: Path, target_folder: Path) -> Manifest:
    """Copies the log and its blobs to `target_folder`, synced to disk. An interrupted backup in the target is
    overwritten. Raises NotFound without a log, Conflict if the target contains anything else or another
    backup is being written there, Unavailable if reading or writing fails."""
    source = source_folder / FILE_NAME
    if not source.is_file():
        raise NotFound(f"There is no event log in {source_folder}.")
    if not _is_free(target_folder):
        raise Conflict(f"{target_folder} is not an empty folder. Name a new one.")
    try:
        restrict_umask()
        target_folder.mkdir(parents=True, exist_ok=True)
        with _incomplete(target_folder):
            return _copy(source, target_folder)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(
            f"The backup failed and is incomplete: {error}. Run it again with the same target once the cause is removed."
        ) from error


def _is_free(target: Path) -> bool:
    """Returns whether a backup may be written there: the folder is empty, or contains an interrupted one."""
    if not target.exists():
        return True
    return target.is_dir() and ((target / MARKER_NAME).is_file() or not any(target.iterdir()))


@contextmanager
def _incomplete(target: Path) -> Iterator[None]:
    """Marks a backup as incomplete until the block has ended without an error, and locks it against
    others."""
    marker = target / MARKER_NAME
    with marker.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another backup is being written to {target}. Name another folder.") from None
        os.fsync(file.fileno())
        for folder in (target, target.parent):
            sync_folder(folder)
        yield
        marker.unlink()
        sync_folder(target)


def _remove_earlier(target: Path) -> None:
    """Removes the files of an interrupted backup."""
    for file in target.glob(f"{FILE_NAME}*"):
        file.unlink()
    for file in target.glob(f"{MANIFEST_NAME}*"):
        file.unlink()
    for folder in ("blobs", "telemetry"):
        if (target / folder).exists():
            shutil.rmtree(target / folder)


def _copy(source: Path, target_folder: Path) -> Manifest:
    _remove_earlier(target_folder)
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
    _sync(target_folder, files)
    described = tuple(_described(file, target_folder) for file in sorted(files))
    manifest = Manifest(epoch, source_epoch, head, described, MANIFEST_VERSION)
    write_manifest(target_folder, manifest)
    return manifest


def _copy_log(source: Path, target: Path) -> tuple[str, str, int, list[str]]:
    target.unlink(missing_ok=True)
    with closing(connect_reader(source)) as reader, closing(sqlite3.connect(target)) as copy:
        # In one step and therefore one snapshot: concurrent appends do not restart it.
        reader.backup(copy)
        # One file without a WAL; opening the log switches back.
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        source_epoch = copy.execute("SELECT value FROM log_info WHERE key = 'epoch'").fetchone()[0]
        epoch = uuid4().hex
        with copy:
            chain.set_epoch(copy, epoch)
            copy.execute("INSERT OR REPLACE INTO log_info VALUES (?, '')", (BACKUP_KEY,))
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
    """Removes blobs copied in an earlier attempt whose content has been redacted since."""
    for file in copies.folder.glob("??/*"):
        if file.name not in digests:
            file.unlink()


def _described(file: Path, folder: Path) -> ManifestFile:
    return ManifestFile(file.relative_to(folder).as_posix(), file.stat().st_size, sha256_of(file))


def _sync(folder: Path, files: list[Path]) -> None:
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    for inner in {folder.parent, folder, *(file.parent for file in files)}:
        sync_folder(inner)
