"""The only owner of DuckDB handles: one locked instance over two files, `views` and `telemetry`.

Reads run named queries against the build that is served; writes are transactions of one file. The handle
itself never leaves this module.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
from msgspec import Struct

from projections.warehouse import files
from projections.warehouse.attachment import FULL_BYTES, OPTIONS, attach, attachment, quoted
from projections.warehouse.errors import StatementRefused, StorageFailed, ViewBehind, WarehouseClosed
from projections.warehouse.fresh_file import FreshFile
from projections.warehouse.reader import Row
from projections.warehouse.snapshot import Snapshot
from projections.warehouse.transaction import File, Transaction, Writer, translated

_log = logging.getLogger(__name__)

FILES: tuple[File, ...] = ("views", "telemetry")

# Automatic checkpoints are one setting for all files of an instance; telemetry wants few, large ones.
CHECKPOINT_BYTES = "256MB"
# The views are checkpointed by their engine at this size: what is left is replayed at the next start.
VIEWS_CHECKPOINT_BYTES = 32 << 20
# While nothing is served: a rebuild of a million events spent 2.4 of 12 s in checkpoints at 32 MB.
OFFLINE_CHECKPOINT_BYTES = 192 << 20
# Of telemetry, while nothing comes in. Until then its newest rows take memory that old ones could be read from.
TELEMETRY_CHECKPOINT_BYTES = 16 << 20
# Reads of a file are short; a longer one is not worth keeping all others waiting for.
REPLACE_WAITS_S = 0.5
# Bounds DuckDB's buffers, so that a rebuild of any length stays small. Not a bound on all memory. Servers have a setting.
MEMORY_LIMIT = "192MB"
# With more free space than this, tables that were built in memory go back to their file.
ROOM_BYTES = 12 << 20


# What a database may have to open, by the endings of its files.
_ENDINGS = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
_ATTACHED_LATER = (files.database_path, files.next_path)


class Served(Struct, frozen=True):
    """The build that answers reads. `queries` are ready to run; `outdated` means that newer code made another
    plan, and that queries which this build was not made for are missing."""

    schema: str
    queries: dict[str, str]
    outdated: bool = False


class Warehouse:
    """One process, one warehouse. Any thread may read; one transaction of a file is open at a time."""

    def __init__(self, folder: Path, *, memory_limit: str | None, threads: int) -> None:
        self._folder = folder
        self._settings: dict[str, str | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": memory_limit or MEMORY_LIMIT,
            "temp_directory": str(folder / "spill"),
            "max_temp_directory_size": "4GB",
            "checkpoint_threshold": CHECKPOINT_BYTES,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
        self._gate = threading.Condition()
        self._reopening = threading.Lock()
        self._closed = False
        self._open_gate = False
        self._reading: dict[File, int] = dict.fromkeys(FILES, 0)
        self._replacing: File | None = None
        self._failures: dict[File, StorageFailed] = {}
        self._cursors: list[tuple[threading.Thread, duckdb.DuckDBPyConnection]] = []
        self._local = threading.local()
        self._generation = 0
        self._served: Served | None = None
        self._telemetry: str | None = None
        self._unserved_because = "The view has not been built yet."
        self._in_memory: frozenset[File] = frozenset()
        self._connect()

    @classmethod
    def open(cls, folder: Path, *, memory_limit: str | None = None, threads: int = 1) -> Warehouse:
        """Opens `<folder>/views.duckdb` and `<folder>/telemetry.duckdb`, creating what is missing. A file that
        is no database any more is set aside. Raises StorageFailed.

        `threads` are those that share one statement; readers run concurrently anyway. With two, small
        statements take 10 % more CPU (2.2 ms instead of 1.9 ms, a rebuild 12 s instead of 10.7 s).
        """
        folder.mkdir(parents=True, exist_ok=True)
        left = [file for file in (folder / "spill").glob("*") if file.is_file()]
        warehouse = cls(folder, memory_limit=memory_limit, threads=threads)
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
        with self._entered("views"):
            while True:
                served = self._served
                if served is None:
                    raise ViewBehind(self._unserved_because)
                sql = served.queries.get(query)
                if sql is None:
                    if served.outdated:
                        raise ViewBehind("The view is being rebuilt for this version.")
                    raise KeyError(query)
                try:
                    with translated():
                        return self._cursor().execute(sql, params).fetchall()
                except StatementRefused:
                    # A swap between the two lines above has dropped the schema: run it on the new one.
                    if self._served is served:
                        raise
                except StorageFailed as failure:
                    self._failures["views"] = failure
                    raise ViewBehind("The view's file failed and is being opened again.") from failure

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Telemetry as it is at one moment, for several statements that belong together. Blocks; any thread.
        Raises ViewBehind while no telemetry is served, or where its file failed."""
        with self._entered("telemetry"):
            schema = self._telemetry
            if schema is None:
                raise ViewBehind("There is no telemetry yet: its store is being opened.")
            cursor = self._cursor()
            try:
                with translated():
                    cursor.execute("BEGIN TRANSACTION READ ONLY")
                try:
                    yield Snapshot(partial(_rows, cursor), schema)
                finally:
                    with suppress(duckdb.Error):
                        cursor.execute("ROLLBACK")
            except StorageFailed as failure:
                self._failures["telemetry"] = failure
                raise ViewBehind("The file of telemetry failed and is being opened again.") from failure

    def serve_telemetry(self, schema: str | None) -> None:
        """Makes snapshots show this schema of the file `telemetry`, as `telemetry.build_3`; None refuses them."""
        self._telemetry = schema

    def failure_of(self, file: File) -> StorageFailed | None:
        """What a read of the file found broken since the files were opened; its follower opens them again."""
        return self._failures.get(file)

    def hydrate(self, content: bytes) -> bytes:
        """The content as it is: a warehouse read directly shows blob markers."""
        return content

    def serve(self, served: Served | None, reason: str = "") -> None:
        """Makes reads go to `served`; None refuses them with `reason`."""
        self._unserved_because = reason or self._unserved_because
        self._served = served

    # --- writing -----------------------------------------------------------------------------------------

    def write(self, file: File = "views") -> AbstractContextManager[Transaction]:
        """A transaction of one file: committed at the end of the block, rolled back when it raises.
        Raises StatementRefused, StorageFailed."""
        with self._gate:
            self._refuse_unless_open()
            return self._writers[file].transaction()

    def write_concurrently(self) -> AbstractContextManager[Transaction]:
        """A second transaction of the file `telemetry`, for what takes long and touches other rows than `write`."""
        with self._gate:
            self._refuse_unless_open()
            return self._concurrent.transaction()

    def checkpoint_views_if_due(self, *, offline: bool = False) -> None:
        """Writes the views' log back into their file once it is large."""
        due = OFFLINE_CHECKPOINT_BYTES if offline else VIEWS_CHECKPOINT_BYTES
        if files.wal_bytes(files.database_path(self._folder, "views")) >= due:
            self.checkpoint_views()

    def checkpoint_telemetry_if_due(self) -> None:
        """Writes the log of the file `telemetry` back, though it is not as large yet as makes the database do it."""
        if files.wal_bytes(files.database_path(self._folder, "telemetry")) >= TELEMETRY_CHECKPOINT_BYTES:
            self._writers["telemetry"].checkpoint()

    def checkpoint_views(self) -> None:
        """Writes the views' log back into their file."""
        self._writers["views"].checkpoint()

    # --- a new file in place of one ----------------------------------------------------------------------

    def fresh(self, file: File) -> FreshFile:
        """A new, empty file for `replace`. Raises StorageFailed."""
        return FreshFile(self._folder, file, OPTIONS.get(file, ""), self._settings)

    def copied(self, file: File) -> FreshFile:
        """A copy of the file as it is now, for `replace`, without what blocks that are not in use still hold. Blocks
        while it is made; reads and writes of the file go on. Raises StorageFailed, StatementRefused, ViewBehind."""
        FreshFile.remove_leftovers(self._folder, file)
        path, name = files.next_path(self._folder, file), f"{file}_copy"
        with self._entered(file):
            cursor = self._cursor()
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
        with self._gate:
            self._refuse_unless_open()
            self._replacing = file
            idle = self._gate.wait_for(lambda: self._reading[file] == 0, timeout=REPLACE_WAITS_S)
            writers = [self._writers[file], *((self._concurrent,) if file == "telemetry" else ())]
        try:
            if not idle:
                return False
            fresh.close()
            with ExitStack() as stack:
                for writer in writers:
                    stack.enter_context(writer.exclusive())
                path = files.database_path(self._folder, file)
                with translated():
                    self._root.execute(f"DETACH {file}")
                files.replace(path, fresh.path)
                with translated():
                    self._root.execute(attachment(path, file))
            self._in_memory -= {file}
            answer()
            return True
        finally:
            with self._gate:
                self._replacing = None
                self._gate.notify_all()

    # --- opening and closing -----------------------------------------------------------------------------

    def close(self) -> None:
        """Waits for running reads and writes (interrupting reads after 5 s) and closes the files. Idempotent."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        self._disconnect()

    def leave_memory(self) -> None:
        """Opens the files again if tables are kept in memory that have room on the disk again."""
        if self._in_memory and files.free_bytes(self._folder) >= ROOM_BYTES:
            self.reopen(damaged=None, generation=self._generation)

    def reopen(self, *, damaged: File | None, generation: int, in_memory: File | None = None) -> None:
        """Closes and opens the instance again after it failed, unless somebody else has done that since it was of this
        `generation`; sets the file aside that is `damaged`. The tables of `in_memory` are built in memory, because the
        disk is full: their file stays as it is."""
        with self._reopening:
            if generation != self._generation and damaged is None and in_memory is None:
                return
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
        return self._generation

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
        self._concurrent = Writer(root.cursor(), "telemetry")
        with self._gate:
            self._generation += 1
            self._failures = {}
            self._open_gate = True

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
            _log.error("There is no space on the disk to open the %s: they are built in memory.", file)
            self._in_memory |= {file}
        root.execute(f"ATTACH ':memory:' AS {file}")

    def _disconnect(self) -> None:
        with self._gate:
            self._open_gate = False
            self._served = None
            self._telemetry = None
            if not self._gate.wait_for(self._is_idle, timeout=5.0):
                for _, cursor in self._cursors:
                    cursor.interrupt()
                self._gate.wait_for(self._is_idle)
            cursors, self._cursors = self._cursors, []
        for _, cursor in cursors:
            cursor.close()
        for writer in (*self._writers.values(), self._concurrent):
            writer.close()
        self._root.close()

    def _is_idle(self) -> bool:
        return not any(self._reading.values())

    @contextmanager
    def _entered(self, file: File) -> Iterator[None]:
        with self._gate:
            if self._replacing == file:
                self._gate.wait_for(lambda: self._replacing != file)
            self._refuse_unless_open()
            self._reading[file] += 1
        try:
            yield
        finally:
            with self._gate:
                self._reading[file] -= 1
                if self._reading[file] == 0 and (self._replacing or not self._open_gate):
                    self._gate.notify_all()

    def _refuse_unless_open(self) -> None:
        if self._closed:
            raise WarehouseClosed("The warehouse is closed.")
        if not self._open_gate:
            raise ViewBehind("The view's file is being opened again.")

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """This thread's own cursor. Those of threads that have ended are closed when another is made."""
        if getattr(self._local, "generation", None) != self._generation:
            with self._gate:
                for thread, cursor in self._cursors:
                    if not thread.is_alive():
                        cursor.close()
                self._cursors = [entry for entry in self._cursors if entry[0].is_alive()]
                self._local.cursor = self._root.cursor()
                self._local.generation = self._generation
                self._cursors.append((threading.current_thread(), self._local.cursor))
        own: duckdb.DuckDBPyConnection = self._local.cursor
        return own


def _rows(cursor: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any]) -> list[Row]:
    with translated():
        return cursor.execute(sql, params).fetchall()
