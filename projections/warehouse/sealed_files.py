"""Sealed files: read-only databases with rows that no longer change, `sealed/<number>.duckdb`.

Which of them belong to the tables is in the tables, and changes with a transaction of these. A file is
complete before its transaction, so one that the tables do not name is a leftover. Any number of processes
reads them at once. They are attached as `sealed_<number>`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import duckdb

from projections.warehouse import files
from projections.warehouse.attachment import OPTIONS, attach_again, quoted
from projections.warehouse.errors import FileDamaged, StorageFailed
from projections.warehouse.transaction import Transaction, checkpoint, translated

FOLDER = files.SEALED_FOLDER
_LEAVE_S = 5.0
"""How long to wait for readers of files that are no longer needed, in seconds."""


def sealed_path(folder: Path, number: int) -> Path:
    """Returns the path of a sealed file in the folder of a warehouse."""
    return folder / FOLDER / f"{number}.duckdb"


def sealed_name(number: int) -> str:
    """Returns the name under which the file is attached; its tables are in its schema `main`."""
    return f"sealed_{number}"


def attach_sealed(cursor: duckdb.DuckDBPyConnection, folder: Path, numbers: Collection[int]) -> None:
    """Attaches those of the files that are not attached yet. Raises FileDamaged if one is missing or is not
    a database, StorageFailed if it may not be read."""
    found = cursor.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    attached = {name for (name,) in found}
    for number in sorted(numbers):
        if sealed_name(number) in attached:
            continue
        path = sealed_path(folder, number)
        if not path.is_file():
            raise FileDamaged(f"{path} is missing: it holds a part of the tables.")
        if not os.access(path, os.R_OK):
            raise StorageFailed(f"{path} may not be read.")
        try:
            attach_again(cursor, f"ATTACH {quoted(str(path))} AS {sealed_name(number)} (READ_ONLY)")
        except (duckdb.OutOfMemoryException, duckdb.ConnectionException):
            raise
        except duckdb.Error as error:
            raise FileDamaged(f"{path} cannot be read: {error}") from error


class Users:
    """Those that may be using sealed files: they are numbered as they come. Thread-safe."""

    def __init__(self) -> None:
        self._left = threading.Condition()
        self._next = 0
        self._present: set[int] = set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        with self._left:
            own = self._next
            self._next += 1
            self._present.add(own)
        try:
            yield
        finally:
            with self._left:
                self._present.discard(own)
                self._left.notify_all()

    def have_left(self, timeout_s: float) -> bool:
        """Waits for those that are present now, and returns whether they have left."""
        with self._left:
            mark = self._next
            return self._left.wait_for(lambda: all(one >= mark for one in self._present), timeout_s)


class Owner(Protocol):
    """The instance that attaches the files, and its folder."""

    def sealed_cursor(self) -> duckdb.DuckDBPyConnection:
        """Returns a cursor, outside of any transaction."""

    def fill_sealed(self, fill: Callable[[Transaction], None]) -> None:
        """Runs `fill` in a transaction of a second connection. Raises StatementRefused, StorageFailed."""

    def writes_have_ended(self) -> None:
        """Waits for the transactions that are running now."""


class SealedFiles:
    """The files of one folder, as long as a caller may change them: see `Warehouse.sealing`."""

    def __init__(self, folder: Path, owner: Owner, users: Users, *, can_change: bool) -> None:
        self._folder = folder
        self._owner = owner
        self._users = users
        self.can_change = can_change
        """False while the tables are being copied, or are in memory: then no file is removed, because a copy
        may name it, and no rows should be moved."""

    def create(self, fill: Callable[[Transaction, str], None]) -> int:
        """Creates and attaches a file that `fill` fills, given the schema of its tables; returns its number.
        It is durable. Raises StatementRefused, StorageFailed; then there is no file."""
        number = max(self._numbers(), default=0) + 1
        path, name = sealed_path(self._folder, number), sealed_name(number)
        path.parent.mkdir(exist_ok=True)
        cursor = self._owner.sealed_cursor()
        try:
            with translated():
                cursor.execute(f"ATTACH {quoted(str(path))} AS {name}{OPTIONS['telemetry']}")
            try:
                self._owner.fill_sealed(lambda transaction: fill(transaction, f"{name}.main"))
                with translated():
                    checkpoint(cursor, name)
            finally:
                with translated():
                    cursor.execute(f"DETACH {name}")
            files.sync_folder(path.parent)
            with translated():
                attach_sealed(cursor, self._folder, [number])
        except BaseException:
            with suppress(duckdb.Error):
                cursor.execute(f"DETACH DATABASE IF EXISTS {name}")
            files.remove(path)
            raise
        finally:
            cursor.close()
        return number

    def keep_only(self, numbers: Collection[int]) -> bool:
        """Removes all other files, once those have ended that may read them; returns whether all were
        removed. The tables must not name them."""
        unneeded = self._numbers() - set(numbers)
        if not unneeded:
            return True
        if not self.can_change:
            return False
        self._owner.writes_have_ended()
        if not self._users.have_left(_LEAVE_S):
            return False
        cursor = self._owner.sealed_cursor()
        try:
            for number in unneeded:
                with translated():
                    cursor.execute(f"DETACH DATABASE IF EXISTS {sealed_name(number)}")
                files.remove(sealed_path(self._folder, number))
        finally:
            cursor.close()
        return True

    def _numbers(self) -> set[int]:
        """Returns the numbers of the files, including remains of files that were being created."""
        found = (path.name.partition(".")[0] for path in (self._folder / FOLDER).glob("*.duckdb*"))
        return {int(name) for name in found if name.isdecimal()}
