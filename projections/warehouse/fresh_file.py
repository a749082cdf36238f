"""A new database file that is filled next to the current one and then replaces it.

Deleted rows stay in the blocks of a DuckDB file, even in free ones, so content is only removed with the file.
The new file is written by a separate database instance, under the name that the file will have, until
`Warehouse.replace`.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import duckdb

from projections.warehouse import files
from projections.warehouse.attachment import attachment, quoted
from projections.warehouse.sealed_files import FOLDER, attach_sealed
from projections.warehouse.transaction import File, Transaction, Writer, translated

CHECKPOINT_BYTES = 32 << 20
SMALL_BYTES = 1 << 20
"""Maximum number of bytes left for the last checkpoint, for which the follower of the log waits."""


class FreshFile:
    """Provides the writing methods of `Warehouse`. Not thread-safe. Starts empty, or with the data copied to
    its path. Raises StorageFailed."""

    def __init__(
        self, folder: Path, file: File, settings: dict[str, Any], *, is_copied: bool = False
    ) -> None:
        self.file: File = file
        self.path = files.next_path(folder, file)
        self._spill = folder / f"spill.next.{file}"
        self._checkpoint: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="new file")
        if not is_copied:
            self.remove_leftovers(folder, file)
        with translated():
            self._root = duckdb.connect(":memory:", config={**settings, "temp_directory": str(self._spill)})
            self._root.execute(attachment(self.path, file))
            self._root.execute(f"SET allowed_directories = [{quoted(str(folder / FOLDER))}]")
            self._root.execute("SET enable_external_access = false")
            self._root.execute("SET lock_configuration = true")
            self._writer = Writer(self._root.cursor(), file)

    @staticmethod
    def remove_leftovers(folder: Path, file: File) -> None:
        """Removes the files of an unfinished build."""
        files.remove(files.next_path(folder, file))
        shutil.rmtree(folder / f"spill.next.{file}", ignore_errors=True)

    def write(self, file: File = "views") -> AbstractContextManager[Transaction]:
        assert file == self.file
        return self._writer.transaction()

    def write_concurrently(self, file: File) -> AbstractContextManager[Transaction]:
        assert file == self.file
        return self._writer.transaction()

    def attach_sealed(self, numbers: Collection[int]) -> None:
        """Like `Warehouse.attach_sealed`."""
        with translated():
            attach_sealed(self._root, self.path.parent, numbers)

    def is_busy(self) -> bool:
        """Returns whether a checkpoint is running, for which a write would wait. Raises StorageFailed if the
        last one failed."""
        checkpoint = self._checkpoint
        if checkpoint is not None and checkpoint.done():
            self._checkpoint = None
            checkpoint.result()
        return self._checkpoint is not None

    def checkpoint_if_due(self, due_bytes: int = CHECKPOINT_BYTES) -> bool:
        """Starts a checkpoint in a separate thread if the log of the file has at least this many bytes."""
        if files.wal_bytes(self.path) < due_bytes:
            return False
        self._checkpoint = self._thread.submit(self._writer.checkpoint)
        return True

    def close(self) -> None:
        """Writes everything to the file and closes it. Raises StorageFailed; then the file must not be
        used."""
        try:
            self._thread.shutdown()
            self._writer.checkpoint()
        finally:
            self._writer.close()
            self._root.close()
            shutil.rmtree(self._spill, ignore_errors=True)

    def discard(self) -> None:
        """Abandons the build. Never raises."""
        self._thread.shutdown()
        with suppress(duckdb.Error):
            self._writer.close()
            self._root.close()
        with suppress(OSError):
            self.remove_leftovers(self.path.parent, self.file)
