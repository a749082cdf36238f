"""The SQLite log of a data folder, open or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from stack.eventstore.blobs import BlobStore
from stack.eventstore.port import LogEnd
from stack.eventstore.reports import Manifest, VerifyReport
from stack.eventstore.sqlite import backup, backup_manifest, schema, verify
from stack.eventstore.sqlite.log import SqliteLog
from stack.eventstore.sqlite.wal import wal_path


class SqlitePlace:
    """Implements `LogPlace`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / schema.FILE_NAME
        self.name = self._file.name
        self.unmerged = wal_path(self._file).name

    def exists(self) -> bool:
        return self._file.is_file()

    def size_bytes(self) -> int:
        return self._file.stat().st_size

    def end(self) -> LogEnd | None:
        return schema.end_of_log(self._folder)

    def require_room(self) -> None:
        schema.require_room(self._folder)

    def open(self, blobs: BlobStore, clock_us: Callable[[], int]) -> SqliteLog:
        self._folder.mkdir(parents=True, exist_ok=True)
        log = SqliteLog(self._folder, blobs, clock_us)
        backup_manifest.mark_restored(self._folder)
        return log

    def make_another_copy(self, lost_until: int) -> None:
        schema.make_another_copy(self._folder, lost_until)

    def accepted_losses(self) -> list[str]:
        try:
            with closing(schema.connect_reader(self._file)) as db:
                return [str(loss) for loss in schema.accepted_losses(db)]
        except (OSError, sqlite3.Error):
            return []

    def require_complete(self) -> None:
        backup_manifest.require_complete(self._folder)

    def backup(self, target: Path) -> Manifest:
        return backup.backup(self._folder, target)

    def verify(self) -> VerifyReport:
        return verify.verify(self._folder)
