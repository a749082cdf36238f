"""Reserved disk space, so that on a full disk a server still starts and content can still be deleted."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock

_log = logging.getLogger(__name__)

FILE_NAME = "reserve"
SIZE_BYTES = 4 * 2**20
FULL_BYTES = 2**20
"""With less free space than this, in bytes, the reserve is released."""
ROOM_BYTES = 3 * SIZE_BYTES
"""With more free space than this, in bytes, the reserve is allocated (again)."""
_LOOK_S = 1.0

FULL = "The disk is full: what is stored can be read and deleted, and nothing else is recorded until space is freed."

_GIVEN_UP: set[Path] = set()
"""Folders whose reserve this process has released: their free space is for deletions."""


def free_bytes(folder: Path) -> int:
    """Returns the number of bytes that this user may still write under `folder`. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Reserve:
    """The reserve of a data folder. Thread-safe; checks the disk at most once per second."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / FILE_NAME
        self._lock = Lock()
        self._looked_at = 0.0
        self._full = folder in _GIVEN_UP

    def is_full(self, *, now: bool = False) -> bool:
        """Returns whether the disk is full. Releases the reserve when it becomes full, and allocates it again
        afterwards."""
        if not now and time.monotonic() - self._looked_at < _LOOK_S:
            return self._full
        with self._lock:
            self._looked_at = time.monotonic()
            try:
                free = free_bytes(self._folder)
                if free >= ROOM_BYTES:
                    self._freed()
                elif free < FULL_BYTES and not self._full:
                    self._filled()
            except OSError as error:
                _log.warning("the free space of %s is not known: %s", self._folder, error)
            return self._full

    def _filled(self) -> None:
        self._full = True
        _GIVEN_UP.add(self._folder)
        self._file.unlink(missing_ok=True)
        _log.error("%s", FULL)

    def _freed(self) -> None:
        if self._full:
            _log.warning("there is free space again in %s", self._folder)
        self._full = False
        _GIVEN_UP.discard(self._folder)
        if not self._file.exists():
            try:
                self._allocate()
            except OSError as error:
                self._file.unlink(missing_ok=True)
                _log.warning("no space could be set aside in %s: %s", self._folder, error)

    def _allocate(self) -> None:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, SIZE_BYTES)
        finally:
            with suppress(OSError):
                os.close(descriptor)
