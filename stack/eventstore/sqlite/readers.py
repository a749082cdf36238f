"""Reads the SQLite log: one connection per thread, none of which ever waits for the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock, local
from typing import Any
from weakref import WeakSet

from stack.errors import Unavailable
from stack.eventstore.damage import Damage
from stack.eventstore.sqlite.schema import connect_reader


class _Connection:
    """A thread's connection. The lock is for closing: SQLite's handle must not be closed during a query."""

    def __init__(self, path: Path) -> None:
        self.lock = Lock()
        self.db: sqlite3.Connection | None = connect_reader(path)

    def close(self) -> None:
        with self.lock:
            if self.db is not None:
                self.db.close()
                self.db = None

    def __del__(self) -> None:
        if self.db is not None:
            self.db.close()


class Readers:
    """Queries from any thread. Raises Unavailable after `close`, or if the file cannot be read."""

    def __init__(self, path: Path, damage: Damage) -> None:
        self._path = path
        self._damage = damage
        self._lock = Lock()
        self._local = local()
        self._connections: WeakSet[_Connection] = WeakSet()
        self._closed = False

    def query(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        enough: Callable[[tuple[Any, ...]], bool] | None = None,
    ) -> list[tuple[Any, ...]]:
        """Returns the rows; with `enough`, up to and including the first one for which it is true."""
        connection: _Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._connect()
            with connection.lock:
                if connection.db is None:
                    raise Unavailable("The event log is closed.", retry_after=5)
                try:
                    return _rows(connection.db, sql, parameters, enough)
                except sqlite3.OperationalError as error:
                    if "decode" not in str(error):
                        raise
                    # A damaged text must not prevent reading the events around it.
                    connection.db.text_factory = _legible
                    try:
                        return _rows(connection.db, sql, parameters, enough)
                    finally:
                        connection.db.text_factory = str
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise Unavailable(f"The event log could not be read: {error}.", retry_after=5) from error
            self._damage.note(f"the file is damaged ({error})")
            raise Unavailable(
                f"The file of the event log is damaged ({error}). `replaystack verify` lists the damage; restore a "
                "backup.",
                retry_after=60,
            ) from error

    def close(self) -> None:
        with self._lock:
            self._closed = True
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def _connect(self) -> _Connection:
        with self._lock:
            if self._closed:
                raise Unavailable("The event log is closed.", retry_after=5)
            connection = _Connection(self._path)
            self._connections.add(connection)
        self._local.connection = connection
        return connection


def _rows(
    db: sqlite3.Connection,
    sql: str,
    parameters: Sequence[Any],
    enough: Callable[[tuple[Any, ...]], bool] | None,
) -> list[tuple[Any, ...]]:
    cursor = db.execute(sql, parameters)
    if enough is None:
        return cursor.fetchall()
    rows = []
    for row in cursor:
        rows.append(row)
        if enough(row):
            break
    cursor.close()
    return rows


def _legible(text: bytes) -> str:
    return text.decode(errors="replace")
