"""The only owner of DuckDB handles: one locked instance over two files, `views` and `telemetry`.

Reads run named queries against the build that is served; writes are transactions of one file. The handle
itself never leaves this module.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import duckdb
from msgspec import Struct

from projections import files
from projections.errors import (
    FileDamaged,
    FileInUse,
    StatementRefused,
    StorageFailed,
    ViewBehind,
    WarehouseClosed,
)
from projections.reader import Row

File = Literal["views", "telemetry"]
FILES: tuple[File, ...] = ("views", "telemetry")

# Automatic checkpoints are one setting for all files of an instance; telemetry wants few, large ones.
CHECKPOINT_BYTES = "256MB"
# The views are checkpointed by their engine at this size: what is left is replayed at the next start.
VIEWS_CHECKPOINT_BYTES = 32 << 20
# While nothing is served: a rebuild of a million events spent 2.4 of 12 s in checkpoints at 32 MB.
OFFLINE_CHECKPOINT_BYTES = 192 << 20
# Bounds DuckDB's buffers, so that a rebuild of any length stays small. Not a bound on all memory.
MEMORY_LIMIT = "192MB"

# The columns of a batch as `load` takes them and the table `batch` holds them, all of one length: position, stream,
# id (the last part of the stream), version, name, recorded_at (microseconds), state (JSON text), session_id (of a
# turn). Columns and not rows: a tuple per record is one more thing to collect.
Columns = tuple[list[Any], ...]
_BATCH = """CREATE TEMP TABLE batch (
    position BIGINT, stream VARCHAR, id VARCHAR, version INTEGER, name VARCHAR, recorded_at BIGINT,
    state VARCHAR, session_id VARCHAR)"""
_KINDS = ("int64", "object", "object", "int32", "object", "int64", "object", "object")
# ms to load 1 / 100 / 2,000 / 20,000 rows of 600 bytes: one kept appender 0.8 / 1.2 / 4.7 / 90, numpy columns
# 1.7 / 2.0 / 4.0 / 33, lists unnested 1.0 / 1.2 / 5.3 / 55, one JSON parameter 1.6 / 2.1 / 12 / 157.
_APPENDER_ROWS = 1000
# In the message of an IOException: a block whose checksum is wrong, and one behind the end of the file.
_SIGNS_OF_DAMAGE = ("orrupt", "Could not read enough bytes")


class Served(Struct, frozen=True):
    """The build that answers reads. `queries` are ready to run; `outdated` means that newer code made another
    plan, and that queries which this build was not made for are missing."""

    schema: str
    queries: dict[str, str]
    outdated: bool = False


class Warehouse:
    """One process, one warehouse. Any thread may read; writers of one file take turns."""

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
        self._closed = False
        self._open_gate = False
        self._reading = 0
        self._failure: StorageFailed | None = None
        self._cursors: list[tuple[threading.Thread, duckdb.DuckDBPyConnection]] = []
        self._local = threading.local()
        self._generation = 0
        self._served: Served | None = None
        self._unserved_because = "The view has not been built yet."
        self._connect()

    @classmethod
    def open(cls, folder: Path, *, memory_limit: str | None = None, threads: int = 1) -> Warehouse:
        """Opens `<folder>/views.duckdb` and `<folder>/telemetry.duckdb`, creating what is missing. A file that
        is no database any more is set aside. Raises FileInUse, StorageFailed.

        `threads` are those that share one statement; readers run beside each other anyway. With two, small
        statements take 10 % more CPU (a turn 2.2 ms instead of 1.9 ms, a rebuild 12 s instead of 10.7 s).
        """
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, memory_limit=memory_limit, threads=threads)

    # --- reading -----------------------------------------------------------------------------------------

    def read(self, query: str, params: Mapping[str, Any]) -> list[Row]:
        """Rows of the query in `sql/queries/<query>.sql`. Blocks; any thread.

        Raises ViewBehind while no build is served, or while the one that is was not made for this query.
        """
        with self._entered():
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
                    with _translated():
                        return self._cursor().execute(sql, params).fetchall()
                except StatementRefused:
                    # A swap between the two lines above has dropped the schema: run it on the new one.
                    if self._served is served:
                        raise
                except StorageFailed as failure:
                    self._failure = failure
                    raise ViewBehind("The view's file failed and is being opened again.") from failure

    @property
    def failure(self) -> StorageFailed | None:
        """What a read found broken since the files were opened; its engine opens them again."""
        return self._failure

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

    def checkpoint_views_if_due(self, *, offline: bool = False) -> None:
        """Writes the views' log back into their file once it is large."""
        due = OFFLINE_CHECKPOINT_BYTES if offline else VIEWS_CHECKPOINT_BYTES
        if files.wal_bytes(files.database_path(self._folder, "views")) >= due:
            self.checkpoint_views()

    def checkpoint_views(self) -> None:
        """Writes the views' log back into their file."""
        self._writers["views"].checkpoint()

    # --- opening and closing -----------------------------------------------------------------------------

    def close(self) -> None:
        """Waits for running reads and writes (interrupting reads after 5 s) and closes the files. Idempotent."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        self._disconnect()

    def reopen(self, *, damaged: bool) -> None:
        """Closes and opens the instance again after it failed; sets the views' file aside if it is `damaged`."""
        self._disconnect()
        if damaged:
            files.set_aside(files.database_path(self._folder, "views"))
        self._connect()

    def _connect(self) -> None:
        root = duckdb.connect(":memory:", config=self._settings)
        try:
            for file in FILES:
                _attach(root, files.database_path(self._folder, file), file)
            root.execute("SET enable_external_access = false")
            root.execute("SET lock_configuration = true")
        except BaseException:
            root.close()
            raise
        self._root = root
        self._writers = {file: _Writer(root.cursor(), file) for file in FILES}
        with self._gate:
            self._generation += 1
            self._failure = None
            self._open_gate = True

    def _disconnect(self) -> None:
        with self._gate:
            self._open_gate = False
            self._served = None
            if not self._gate.wait_for(lambda: self._reading == 0, timeout=5.0):
                for _, cursor in self._cursors:
                    cursor.interrupt()
                self._gate.wait_for(lambda: self._reading == 0)
            cursors, self._cursors = self._cursors, []
        for _, cursor in cursors:
            cursor.close()
        for writer in self._writers.values():
            writer.close()
        self._root.close()

    @contextmanager
    def _entered(self) -> Iterator[None]:
        with self._gate:
            self._refuse_unless_open()
            self._reading += 1
        try:
            yield
        finally:
            with self._gate:
                self._reading -= 1
                if self._reading == 0 and not self._open_gate:
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


class Transaction:
    """Statements within one transaction of one file."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    def run(self, sql: str, params: Sequence[Any] = ()) -> None:
        """Runs one or more statements; parameters (`?`) with a single one only."""
        with _translated():
            self._writer.cursor.execute(sql, params)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        with _translated():
            return self._writer.cursor.execute(sql, params).fetchall()

    def load(self, columns: Columns) -> None:
        """Puts the rows into the temporary table `batch`, in place of what it held."""
        with _translated():
            self._writer.load(columns)


class _Writer:
    """The one connection that writes a file, with its `batch` table."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, file: File) -> None:
        self.cursor = cursor
        self._file = file
        self._lock = threading.Lock()
        cursor.execute(_BATCH)
        self._appender = cursor.appender("batch")

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._lock:
            with _translated():
                self.cursor.execute("BEGIN")
            try:
                yield Transaction(self)
                with _translated():
                    self.cursor.execute("COMMIT")
            except BaseException:
                # A failed commit has rolled back already; a dead instance cannot roll back any more.
                with suppress(duckdb.Error):
                    self.cursor.execute("ROLLBACK")
                raise

    def load(self, columns: Columns) -> None:
        self.cursor.execute("TRUNCATE batch")
        if len(columns[0]) <= _APPENDER_ROWS:
            try:
                self._appender.append_rows(zip(*columns, strict=True))
                self._appender.flush()
            except BaseException:
                self._appender = self.cursor.appender("batch")
                raise
            return
        # Imported where it is needed: 0.2 s of a start that has nothing to load in bulk.
        import numpy as np

        incoming = {
            f"c{i}": np.array(column, dtype=kind)
            for i, (column, kind) in enumerate(zip(columns, _KINDS, strict=True))
        }
        self.cursor.register("incoming", incoming)
        try:
            self.cursor.execute("INSERT INTO batch SELECT * FROM incoming")
        finally:
            self.cursor.unregister("incoming")

    def checkpoint(self) -> None:
        with self._lock, _translated():
            self.cursor.execute(f"CHECKPOINT {self._file}")

    def close(self) -> None:
        with self._lock:
            self.cursor.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
        damaged = isinstance(error, duckdb.IOException) and any(
            sign in str(error) for sign in _SIGNS_OF_DAMAGE
        )
        raise (FileDamaged if damaged else StorageFailed)(str(error)) from error
    except (duckdb.ConnectionException, duckdb.TransactionException) as error:
        # A commit that fails could not be written: no constraint waits for it, so it is not the data's fault.
        raise StorageFailed(str(error)) from error
    except duckdb.Error as error:
        raise StatementRefused(str(error)) from error


def _attach(root: duckdb.DuckDBPyConnection, path: Path, name: File) -> None:
    """Attaches the file. One that cannot be read as a database is set aside and made anew: both files can be
    rebuilt from their logs. A file that is held by another process, or that may not be opened, is left alone."""
    if files.is_incomplete(path):
        files.set_aside(path)
    statement = "ATTACH '" + str(path).replace("'", "''") + f"' AS {name}"
    try:
        root.execute(statement)
    except duckdb.Error as error:
        reason = str(error)
        if "lock on file" in reason:
            raise FileInUse(reason) from error
        if path.exists():
            with path.open("r+b"):  # a permission or a disk that fails is no damage: let that error out
                pass
        if "No space left" in reason or isinstance(error, duckdb.OutOfMemoryException):
            raise StorageFailed(reason) from error
        with suppress(duckdb.Error):
            root.execute(f"DETACH {name}")
        files.set_aside(path)
        root.execute(statement)
