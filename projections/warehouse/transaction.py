"""Transactions of one file, and their connection. Apart from the warehouse the only module that uses
DuckDB."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Literal, Protocol

import duckdb

from projections.warehouse.errors import FileDamaged, OutOfMemory, StatementRefused, StorageFailed
from projections.warehouse.reader import Row

File = Literal["views", "telemetry"]
FILES: tuple[File, ...] = ("views", "telemetry")

# The columns of a batch by name, for `load` and the table `batch`, all of equal length. Columns instead of
# rows: a tuple per record would be one more object for the garbage collector.
Columns = dict[str, Sequence[Any]]
# As types of the database and of numpy; all other columns are texts.
_TYPES = {
    "position": ("BIGINT", "int64"),
    "version": ("INTEGER", "int32"),
    "recorded_at": ("BIGINT", "int64"),
    "logged_at": ("BIGINT", "int64"),
}
_TEXT = ("VARCHAR", "object")
# ms to load 1 / 100 / 2,000 / 20,000 rows of 600 bytes: one kept appender 0.8 / 1.2 / 4.7 / 90, numpy columns
# 1.7 / 2.0 / 4.0 / 33, lists unnested 1.0 / 1.2 / 5.3 / 55, one JSON parameter 1.6 / 2.1 / 12 / 157.
_APPENDER_ROWS = 1000
_TRIES_S = 5.0
_PAUSE_S = 0.02
# Parts of an IOException's message: a block with a wrong checksum, or beyond the end of the file.
_SIGNS_OF_DAMAGE = ("orrupt", "Could not read enough bytes")


class Transaction:
    """Statements within one transaction of one file."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def run(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> None:
        """Runs one or more statements; parameters (`?`, `$name`) only with a single one."""
        with translated():
            self._writer.cursor.execute(sql, params)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        with translated():
            return self._writer.cursor.execute(sql, params).fetchall()

    def run_over(self, sql: str, **tables: Any) -> None:
        """Runs statements that read rows of this process (`Rows`, or numpy arrays by name) as tables."""
        cursor = self._writer.cursor
        with translated():
            for name, rows in tables.items():
                cursor.register(name, rows)
            try:
                cursor.execute(sql)
            finally:
                for name in tables:
                    with suppress(duckdb.Error):
                        cursor.unregister(name)

    def columns(self, sql: str, params: Sequence[Any] = ()) -> dict[str, Any]:
        """Returns the columns of a query by name, as numpy arrays."""
        with translated():
            return self._writer.cursor.execute(sql, params).fetchnumpy()

    def load(self, columns: Columns) -> None:
        """Replaces the rows of the temporary table `batch`."""
        with translated():
            self._writer.load(columns)


class Writes(Protocol):
    """The target of writes to the views: the warehouse, or a file that will replace its own."""

    def write(self) -> AbstractContextManager[Transaction]: ...


class Writer:
    """The only connection that writes a file, with its temporary table `batch`."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, file: File) -> None:
        self.cursor = cursor
        self._file = file
        self._lock = threading.Lock()
        self._checkpointing = threading.Lock()
        self._batch: tuple[str, ...] = ()
        self._appender: Any = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._lock:
            with translated():
                self.cursor.execute("BEGIN")
            try:
                yield Transaction(self)
                with translated():
                    self.cursor.execute("COMMIT")
            except BaseException:
                self._batch = ()  # The table may have been created in this transaction.
                # A failed commit has already rolled back; a failed instance can no longer roll back.
                with suppress(duckdb.Error):
                    self.cursor.execute("ROLLBACK")
                raise

    def load(self, columns: Columns) -> None:
        self._empty_batch(tuple(columns))
        if len(columns["position"]) <= _APPENDER_ROWS:
            self._appender.append_rows(zip(*columns.values(), strict=True))
            self._appender.flush()
            return
        # Imported on demand: it would add 0.2 s to a start that has nothing to load in bulk.
        import numpy as np

        incoming = {
            name: np.array(column, dtype=_TYPES.get(name, _TEXT)[1]) for name, column in columns.items()
        }
        self.cursor.register("incoming", incoming)
        try:
            self.cursor.execute("INSERT INTO batch SELECT * FROM incoming")
        finally:
            self.cursor.unregister("incoming")

    def _empty_batch(self, names: tuple[str, ...]) -> None:
        if names == self._batch:
            self.cursor.execute("TRUNCATE batch")
            return
        types = ", ".join(f"{name} {_TYPES.get(name, _TEXT)[0]}" for name in names)
        self.cursor.execute(f"CREATE OR REPLACE TEMP TABLE batch ({types})")
        self._appender = self.cursor.appender("batch")
        self._batch = names

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Prevents new transactions within the block."""
        with self._lock:
            yield

    @contextmanager
    def without_checkpoints(self) -> Iterator[None]:
        """Prevents calls of `checkpoint` within the block; transactions continue."""
        with self._checkpointing:
            yield

    @property
    def can_checkpoint(self) -> bool:
        return not self._checkpointing.locked()

    def checkpoint(self) -> None:
        """Writes the file's log back."""
        with self._checkpointing, self._lock, translated():
            checkpoint(self.cursor, self._file)

    def close(self) -> None:
        with self._lock:
            self.cursor.close()


def checkpoint(cursor: duckdb.DuckDBPyConnection, name: str) -> None:
    """Writes the log of an attached file back. DuckDB refuses that while a transaction is writing anywhere."""
    until_allowed(
        lambda: cursor.execute(f"CHECKPOINT {name}"),
        lambda error: isinstance(error, duckdb.TransactionException),
    )


def until_allowed(act: Callable[[], object], is_temporary: Callable[[duckdb.Error], bool]) -> None:
    """Tries again, for up to 5 s, what DuckDB refuses only as long as other transactions run."""
    give_up_at = time.monotonic() + _TRIES_S
    while True:
        try:
            act()
            return
        except duckdb.Error as error:
            if not is_temporary(error) or time.monotonic() > give_up_at:
                raise
        time.sleep(_PAUSE_S)


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
        damaged = isinstance(error, duckdb.IOException) and any(
            sign in str(error) for sign in _SIGNS_OF_DAMAGE
        )
        raise (FileDamaged if damaged else StorageFailed)(str(error)) from error
    except (duckdb.ConnectionException, duckdb.TransactionException) as error:
        # A failed commit means a write error: no constraint is checked at the commit, so the data are not the
        # cause.
        raise StorageFailed(str(error)) from error
    except duckdb.OutOfMemoryException as error:
        raise OutOfMemory(str(error)) from error
    except duckdb.Error as error:
        damaged = str(error).startswith("Corrupt database file")
        raise (FileDamaged if damaged else StatementRefused)(str(error)) from error
