"""The readers of the warehouse: the tables that they read, a cursor for each thread, and the pausing of reads
while files are replaced or reopened."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import duckdb
from msgspec import Struct

from projections.warehouse.errors import StatementRefused, StorageFailed, ViewBehind, WarehouseClosed
from projections.warehouse.reader import Row
from projections.warehouse.sealed_files import Users
from projections.warehouse.snapshot import Snapshot
from projections.warehouse.transaction import FILES, File, translated

# Reads of a file are short; a longer one does not justify blocking all others.
REPLACE_WAITS_S = 0.5
_INTERRUPT_AFTER_S = 5.0


class Served(Struct, frozen=True):
    """The tables of a file that serve reads. `queries` are ready to run; `outdated` means that newer code has
    another plan, and that queries which these tables do not support are missing."""

    schema: str
    queries: Mapping[str, str] = {}
    outdated: bool = False


class Readers:
    """Thread-safe for reads. `failures` are those that reads have found since the files were opened.
    `generation` changes when the files are reopened; then `serve` must be called again. `users` are those of
    sealed files."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._gate = threading.Condition()
        self._is_open = self._is_closed = False
        self._reading: dict[File, int] = dict.fromkeys(FILES, 0)
        self._replacing: File | None = None
        self._cursors: list[tuple[threading.Thread, duckdb.DuckDBPyConnection]] = []
        self._local = threading.local()
        self._root: duckdb.DuckDBPyConnection | None = None
        self._served: dict[File, Served] = {}
        self._unserved_because: dict[File, str] = dict.fromkeys(FILES, "The tables have not been opened yet.")
        self.failures: dict[File, StorageFailed] = {}
        self.generation = 0

    def serve(self, file: File, served: Served | None, reason: str) -> None:
        """Directs reads of the file to `served`; None refuses them with `reason`."""
        if served is not None:
            self._served[file] = served
            return
        self._unserved_because[file] = reason
        self._served.pop(file, None)

    def read(self, file: File, query: str, params: Mapping[str, Any]) -> list[Row]:
        """Like `Warehouse.read`."""
        with self._cursor_of(file) as cursor:
            while True:
                served = self._tables_of(file)
                sql = served.queries.get(query)
                if sql is None:
                    if served.outdated:
                        raise ViewBehind("The view is being rebuilt for this version.")
                    raise KeyError(query)
                try:
                    with translated():
                        return cursor.execute(sql, params).fetchall()
                except StatementRefused:
                    # A swap between the two lines above has dropped the schema: run it on the new one.
                    if self._served.get(file) is served:
                        raise

    def progress(self, file: File) -> tuple[str, int]:
        """Returns the served schema and its committed position. Raises ViewBehind."""
        with self._cursor_of(file) as cursor:
            schema = self._tables_of(file).schema
            [(position,)] = _rows(cursor, f"SELECT position FROM {schema}.progress", {})
            return schema, position

    @contextmanager
    def snapshot(self, file: File) -> Iterator[Snapshot]:
        """Like `Warehouse.snapshot`."""
        with self._users.entered(), self._cursor_of(file) as cursor:
            schema = self._tables_of(file).schema
            with translated():
                cursor.execute("BEGIN TRANSACTION READ ONLY")
            try:
                yield Snapshot(partial(_rows, cursor), schema)
            finally:
                with suppress(duckdb.Error):
                    cursor.execute("ROLLBACK")

    @contextmanager
    def without(self, file: File) -> Iterator[bool]:
        """Blocks new reads of the file within the block; yields False if running reads do not end in time."""
        with self._gate:
            self.refuse_unless_open()
            self._replacing = file
            is_idle = self._gate.wait_for(lambda: self._reading[file] == 0, timeout=REPLACE_WAITS_S)
        try:
            yield is_idle
        finally:
            with self._gate:
                self._replacing = None
                self._gate.notify_all()

    @contextmanager
    def entered(self, file: File) -> Iterator[None]:
        """Prevents replacing the file within the block. Raises ViewBehind, WarehouseClosed."""
        with self._gate:
            if self._replacing == file:
                self._gate.wait_for(lambda: self._replacing != file)
            self.refuse_unless_open()
            self._reading[file] += 1
        try:
            yield
        finally:
            with self._gate:
                self._reading[file] -= 1
                if self._reading[file] == 0 and (self._replacing or not self._is_open):
                    self._gate.notify_all()

    def refuse_unless_open(self) -> None:
        if self._is_closed:
            raise WarehouseClosed("The warehouse is closed.")
        if not self._is_open:
            raise ViewBehind("The files are being opened again.")

    def begin(self, root: duckdb.DuckDBPyConnection) -> None:
        """Called when the files were opened."""
        with self._gate:
            self._root = root
            self.generation += 1
            self.failures = {}
            self._is_open = True

    def end(self, *, for_good: bool = False) -> bool:
        """Returns once no read is running; interrupts reads after 5 s. Returns False if it was ended
        `for_good` before."""
        with self._gate:
            if for_good and self._is_closed:
                return False
            self._is_closed |= for_good
            self._is_open = False
            self._served.clear()
            if not self._gate.wait_for(self._is_idle, timeout=_INTERRUPT_AFTER_S):
                for _, cursor in self._cursors:
                    cursor.interrupt()
                self._gate.wait_for(self._is_idle)
            cursors, self._cursors = self._cursors, []
        for _, cursor in cursors:
            cursor.close()
        return True

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Returns this thread's own cursor. Cursors of ended threads are closed when another one is
        created."""
        if getattr(self._local, "generation", None) != self.generation:
            with self._gate:
                assert self._root is not None
                for thread, cursor in self._cursors:
                    if not thread.is_alive():
                        cursor.close()
                self._cursors = [entry for entry in self._cursors if entry[0].is_alive()]
                self._local.cursor = self._root.cursor()
                self._local.generation = self.generation
                self._cursors.append((threading.current_thread(), self._local.cursor))
        own: duckdb.DuckDBPyConnection = self._local.cursor
        return own

    @contextmanager
    def _cursor_of(self, file: File) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.entered(file):
            try:
                yield self.cursor()
            except StorageFailed as failure:
                self.failures[file] = failure
                raise ViewBehind(f"The file of the {file} failed and is being opened again.") from failure

    def _tables_of(self, file: File) -> Served:
        served = self._served.get(file)
        if served is None:
            raise ViewBehind(self._unserved_because[file])
        return served

    def _is_idle(self) -> bool:
        return not any(self._reading.values())


def _rows(cursor: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any]) -> list[Row]:
    with translated():
        return cursor.execute(sql, params).fetchall()
