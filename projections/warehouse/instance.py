"""The only owner of DuckDB handles: one locked instance over two files, `views` and `telemetry`.

Reads run named queries against the build that is served; writes are transactions of one file. The handle
itself never leaves this module.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import duckdb

from projections.warehouse import files
from projections.warehouse.attachment import FULL_BYTES, OPTIONS, attach, attachment, quoted
from projections.warehouse.errors import StorageFailed
from projections.warehouse.fresh_file import FreshFile
from projections.warehouse.reader import Row
from projections.warehouse.readers import Readers, Served
from projections.warehouse.snapshot import Snapshot
from projections.warehouse.transaction import FILES, File, Transaction, Writer, translated

_log = logging.getLogger(__name__)

# Automatic checkpoints are one setting for all files of an instance; telemetry wants few, large ones.
CHECKPOINT_BYTES = "256MB"
# Bounds DuckDB's buffers, so that a rebuild of any length stays small. Not a bound on all memory. Servers have a setting.
MEMORY_BYTES = 192_000_000
# The share of a new file that is filled from the log next to the one in use: a process that serves a million events takes
# 255 MB at most then, and 415 MB with all of 512 MB; filling takes 5 % more CPU.
FRESH_SHARE = 4
# With more free space than this, tables that were built in memory go back to their file.
ROOM_BYTES = 12 << 20

# What a database may have to open, by the endings of its files.
_ENDINGS = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
_ATTACHED_LATER = (files.database_path, files.next_path)


class Warehouse:
    """One process, one warehouse. Any thread may read; one transaction of a file is open at a time."""

    def __init__(self, folder: Path, *, memory_bytes: int, threads: int) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._settings: dict[str, str | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": _mebibytes(memory_bytes),
            "temp_directory": str(folder / "spill"),
            "max_temp_directory_size": "4GB",
            "checkpoint_threshold": CHECKPOINT_BYTES,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
        self._readers = Readers()
        self._reopening = threading.Lock()
        self._in_memory: frozenset[File] = frozenset()
        self._connect()

    @classmethod
    def open(cls, folder: Path, *, memory_bytes: int = MEMORY_BYTES, threads: int = 1) -> Warehouse:
        """Opens `<folder>/views.duckdb` and `<folder>/telemetry.duckdb`, creating what is missing. A file that
        is no database any more is set aside. Raises StorageFailed.

        `threads` are those that share one statement; readers run concurrently anyway. With two, small
        statements take 10 % more CPU (2.2 ms instead of 1.9 ms, a rebuild 12 s instead of 10.7 s).
        """
        folder.mkdir(parents=True, exist_ok=True)
        left = [file for file in (folder / "spill").glob("*") if file.is_file()]
        warehouse = cls(folder, memory_bytes=memory_bytes, threads=threads)
        # What a process that was killed had spilled, and what it had not finished. The files are ours by now.
        for file in left:
            file.unlink(missing_ok=True)
        for name in FILES:
            FreshFile.remove_leftovers(folder, name)
        return warehouse

    # --- reading -----------------------------------------------------------------------------------------

    def read(self, query: str, params: Mapping[str, Any]) -> list[Row]:
        """Rows of the query in `sql/queries/<query>.sql`. Blocks; any thread.

        Raises ViewBehind while no build is served, or while the one that is was not made for this query.
        """
        return self._readers.read("views", query, params)

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Telemetry as it is at one moment, for several statements that belong together. Blocks; any thread.
        Raises ViewBehind while no telemetry is served, or where its file failed."""
        return self._readers.snapshot("telemetry")

    def failure_of(self, file: File) -> StorageFailed | None:
        """What a read of the file found broken since the files were opened; its follower opens them again."""
        return self._readers.failures.get(file)

    def hydrate(self, content: bytes) -> bytes:
        """The content as it is: a warehouse read directly shows blob markers."""
        return content

    def serve(self, file: File, served: Served | None, reason: str = "") -> None:
        """Makes reads of the file go to `served`; None refuses them with `reason`."""
        self._readers.serve(file, served, reason)

    # --- writing -----------------------------------------------------------------------------------------

    def write(self, file: File = "views") -> AbstractContextManager[Transaction]:
        """A transaction of one file: committed at the end of the block, rolled back when it raises.
        Raises StatementRefused, StorageFailed."""
        self._readers.refuse_unless_open()
        return self._writers[file].transaction()

    def write_concurrently(self, file: File) -> AbstractContextManager[Transaction]:
        """A second transaction of the file, for what takes long and touches other rows than `write`."""
        self._readers.refuse_unless_open()
        return self._concurrent[file].transaction()

    def checkpoint(self, file: File, *, due_bytes: int = 0) -> None:
        """Writes the log of the file back into it, where it has so many bytes."""
        if files.wal_bytes(files.database_path(self._folder, file)) >= due_bytes:
            self._writers[file].checkpoint()

    # --- a new file in place of one ----------------------------------------------------------------------

    def fresh(self, file: File, *, share: int = FRESH_SHARE) -> FreshFile:
        """A new, empty file for `replace`, with one part in `share` of the memory. Raises StorageFailed."""
        settings = {**self._settings, "memory_limit": _mebibytes(self._memory_bytes // share)}
        return FreshFile(self._folder, file, OPTIONS.get(file, ""), settings)

    def copied(self, file: File) -> FreshFile:
        """A copy of the file as it is now, for `replace`, without what blocks that are not in use still hold. Blocks
        while it is made; reads and writes of the file go on. Raises StorageFailed, StatementRefused, ViewBehind."""
        FreshFile.remove_leftovers(self._folder, file)
        path, name = files.next_path(self._folder, file), f"{file}_copy"
        with self._readers.entered(file):
            cursor = self._readers.cursor()
            with translated():
                cursor.execute(attachment(path, file, name))
                try:
                    cursor.execute(f"COPY FROM DATABASE {file} TO {name}")
                    cursor.execute(f"CHECKPOINT {name}")
                finally:
                    cursor.execute(f"DETACH {name}")
        return FreshFile(self._folder, file, OPTIONS.get(file, ""), self._settings, is_copied=True)

    def replace(self, fresh: FreshFile, answer: Callable[[], None]) -> bool:
        """Puts a finished file in the place of the one in use and calls `answer`, which makes reads go to it. Reads that
        come meanwhile wait for some milliseconds. False where earlier ones do not end: then nothing has changed.
        Raises StorageFailed; then the file in use has to be opened again."""
        file = fresh.file
        with self._readers.without(file) as is_idle:
            if not is_idle:
                return False
            fresh.close()
            with self._writers[file].exclusive(), self._concurrent[file].exclusive():
                path = files.database_path(self._folder, file)
                with translated():
                    self._root.execute(f"DETACH {file}")
                files.replace(path, fresh.path)
                with translated():
                    self._root.execute(attachment(path, file))
            self._in_memory -= {file}
            answer()
            return True

    # --- opening and closing -----------------------------------------------------------------------------

    def close(self) -> None:
        """Waits for running reads and writes (interrupting reads after 5 s) and closes the files. Idempotent."""
        if self._readers.end(for_good=True):
            self._disconnect()

    def leave_memory(self) -> None:
        """Opens the files again if tables are kept in memory that have room on the disk again."""
        if self._in_memory and files.free_bytes(self._folder) >= ROOM_BYTES:
            self.reopen(damaged=None, generation=self.generation)

    def reopen(self, *, damaged: File | None, generation: int, in_memory: File | None = None) -> None:
        """Closes and opens the instance again after it failed, unless somebody else has done that since it was of this
        `generation`; sets the file aside that is `damaged`. The tables of `in_memory` are built in memory, because the
        disk is full: their file stays as it is."""
        with self._reopening:
            if generation != self.generation and damaged is None and in_memory is None:
                return
            self._readers.end()
            self._disconnect()
            if files.free_bytes(self._folder) >= ROOM_BYTES:
                self._in_memory = frozenset()
            elif in_memory is not None:
                self._in_memory |= {in_memory}
            if damaged and damaged not in self._in_memory:
                files.set_aside(files.database_path(self._folder, damaged))
            self._connect()

    @property
    def generation(self) -> int:
        """Another one: the files were opened again, and who serves something from them has to say so again."""
        return self._readers.generation

    def _connect(self) -> None:
        root = duckdb.connect(":memory:", config=self._settings)
        try:
            for file in FILES:
                self._attach(root, file)
            # So that a file can be attached in the place of one: these paths and nothing else.
            # A copy is made in a file that is attached later too.
            paths = [named(self._folder, file) for file in FILES for named in _ATTACHED_LATER]
            allowed = ", ".join(quoted(f"{path}{ending}") for path in paths for ending in _ENDINGS)
            root.execute(f"SET allowed_paths = [{allowed}]")
            root.execute("SET enable_external_access = false")
            root.execute("SET lock_configuration = true")
        except BaseException:
            root.close()
            raise
        self._root = root
        self._writers = {file: Writer(root.cursor(), file) for file in FILES}
        self._concurrent = {file: Writer(root.cursor(), file) for file in FILES}
        self._readers.begin(root)

    def _attach(self, root: duckdb.DuckDBPyConnection, file: File) -> None:
        if file not in self._in_memory:
            path = files.database_path(self._folder, file)
            is_new = not path.exists()
            try:
                attach(root, path, file)
                return
            except (StorageFailed, OSError):
                if files.free_bytes(self._folder) >= FULL_BYTES:
                    raise
            if is_new:
                path.unlink(missing_ok=True)
            with suppress(duckdb.Error):
                root.execute(f"DETACH {file}")
            _log.error("No disk space is left to open the %s: they are built in memory.", file)
            self._in_memory |= {file}
        root.execute(f"ATTACH ':memory:' AS {file}")

    def _disconnect(self) -> None:
        for writer in (*self._writers.values(), *self._concurrent.values()):
            writer.close()
        self._root.close()


def _mebibytes(size: int) -> str:
    return f"{size >> 20}MiB"
