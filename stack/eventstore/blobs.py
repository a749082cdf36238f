"""The blob store: long content outside of the log, content-addressed, compressed, durable before an event
names it.

A file `blobs/<first two digits>/<sha256>` contains the zlib-compressed content. A blob is *held* from the
moment it is put until the append that names it is decided, so that a concurrent redaction does not delete it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock
from uuid import uuid4

from projections.warehouse.files import sync_folder
from stack.errors import InternalError, Unavailable

# Level 1 compresses text 4 times as fast as level 6 and is 10-15 % larger.
_COMPRESSION_LEVEL = 1
# Another process may be about to append an event that names a blob which it has just written.
ORPHAN_AGE_S = 3_600.0


class BlobStore:
    """`folder` is created with the first blob. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock()
        self._held: Counter[str] = Counter()

    def path(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest

    def put(self, content: bytes) -> str:
        """Stores and holds `content`; durable on return. Returns its SHA-256 (hex). Raises Unavailable if the
        disk refuses it."""
        digest = hashlib.sha256(content).hexdigest()
        with self._lock:
            self._held[digest] += 1
        try:
            self._write(digest, content)
        except OSError as error:
            self.release((digest,))
            raise Unavailable(
                f"The server could not store the content: {error.strerror}.", retry_after=5
            ) from error
        return digest

    def hold(self, digests: Iterable[str]) -> None:
        """Holds existing blobs once more; each hold is released separately."""
        with self._lock:
            self._held.update(digests)

    def release(self, digests: Iterable[str]) -> None:
        """Releases one hold by `put` or `hold` for each of `digests`."""
        with self._lock:
            for digest in digests:
                self._held[digest] -= 1
                if self._held[digest] <= 0:
                    del self._held[digest]

    def get(self, digest: str) -> bytes:
        """Returns the content. Raises InternalError if it is missing or damaged, Unavailable if it cannot be
        read now."""
        try:
            content = _read(self.path(digest), digest)
        except OSError as error:
            raise Unavailable(
                f"Stored content {digest} cannot be read: {error.strerror}. Try again.", retry_after=5
            ) from error
        if content is None:
            raise InternalError(f"Stored content {digest} is missing or damaged. Restore it from a backup.")
        return content

    def intact(self, digest: str) -> bool:
        try:
            return _read(self.path(digest), digest) is not None
        except OSError:
            return False

    def remove(self, digests: Iterable[str], referenced: Callable[[str], bool]) -> list[str]:
        """Deletes those of `digests` to which nothing refers. Returns the decided ones; the others are
        currently held. Raises OSError."""
        decided = []
        for digest in digests:
            with self._lock:
                if digest in self._held:
                    continue
                if not referenced(digest):
                    self.path(digest).unlink(missing_ok=True)
                decided.append(digest)
        return decided

    def orphans(self, *, with_young: bool = False) -> Iterator[str]:
        """Yields names of files old enough that an append would have named them, or of all; old unfinished
        files are deleted."""
        youngest = time.time() - ORPHAN_AGE_S
        for file in self.folder.glob("??/*"):
            try:
                is_young = file.stat().st_mtime > youngest
                if is_young and (file.suffix or not with_young):
                    continue
                if file.suffix:
                    file.unlink(missing_ok=True)
                else:
                    yield file.name
            except FileNotFoundError:
                continue

    def _write(self, digest: str, content: bytes) -> None:
        path = self.path(digest)
        if _read(path, digest) is None:
            _make_folders(path.parent)
            temporary = path.with_name(f"{digest}.{uuid4().hex}")
            try:
                _write_synced(temporary, zlib.compress(content, _COMPRESSION_LEVEL))
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
        else:
            os.utime(path)
        # Also for an existing file: the process that renamed it may not have synced the folder yet.
        sync_folder(path.parent)


def _read(path: Path, digest: str) -> bytes | None:
    """Returns None if the file is missing or damaged. Raises OSError for unrelated errors (too many open
    files)."""
    try:
        content = zlib.decompress(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, zlib.error):
        return None
    except OSError as error:
        if error.errno == errno.EIO:
            return None
        raise
    return content if hashlib.sha256(content).hexdigest() == digest else None


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folders(folder: Path) -> None:
    """Creates a folder and its parents durably, so that they exist after a power failure."""
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
