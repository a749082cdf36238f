"""A snapshot in a DuckDB instance of its own: read-only, without files, its configuration locked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import msgspec

from projections.user_views import AS_OF_NS, AS_OF_POSITION
from stack.providers.sql import arrow, results
from stack.providers.sql.gate import MAX_QUERY_CHARS, QUALIFIERS, Gate
from stack.providers.sql.parquet import FOLDER, Memory
from stack.providers.sql.refusal import QueryRefused
from stack.providers.sql.tasks import BODY, END, HEAD, AsOf, Attach, Attached, Head, Parameters, Run
from stack.providers.sql.views import Views

__all__ = ["Database", "QueryRefused"]

# After these the instance can no longer be used.
_FATAL = (duckdb.InternalException, duckdb.FatalException)
_ERROR_CHARS = 2000
WARM_UP = """SELECT 1, 1.5::DOUBLE, 'text', true, [1, 2], {'a': 1}, map([1], [2]), NULL, '{"a": 1}'::JSON,
    TIMESTAMP '2026-01-01 00:00:00', now(), uuid(), 'blob'::BLOB, 1::HUGEINT, 1.5::DECIMAL(9, 2)"""
"""Run in every format before the process is confined, so that all is imported."""


def warm_up() -> None:
    """Imports everything that results need, because later on no file can be opened. Its threads have ended on return."""
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        gate, memory = Gate(()), Memory(database)
        for format in results.FORMATS:
            task = Run(WARM_UP, [], format, 10, 1 << 20)
            with database.cursor() as cursor:
                results.of(cursor, gate.checked(cursor, WARM_UP, []), task, memory)


class Database:
    """Opens the copies in a folder, whose names may be removed from then on. Raises duckdb.Error."""

    def __init__(self, folder: Path, task: Attach) -> None:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "memory_limit": f"{task.memory_bytes >> 20}MiB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
        self._root = duckdb.connect(":memory:", config=settings)
        for name in ("views", "telemetry"):
            path = str(folder / f"{name}.duckdb").replace("'", "''")
            self._root.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
        self._attach_sealed(Path(task.sealed), task.telemetry_schema)
        self.attached = Attached(self._position(task.views_schema), self._position(task.telemetry_schema))
        self._root.execute("SET TimeZone = 'UTC'")
        self._present = Views("main", task.statements)
        self._past = Views("past", task.past)
        self._gate, self._past_gate = Gate(task.views, QUALIFIERS), Gate(task.views)
        self._memory = Memory(self._root)
        self._root.execute(f"SET allowed_directories = ['{FOLDER}']")
        self._root.execute("SET enable_external_access = false")
        self._root.execute("SET disabled_filesystems = 'LocalFileSystem'")
        self._root.execute("SET lock_configuration = true")

    def _attach_sealed(self, folder: Path, schema: str) -> None:
        """Attaches the files of old spans under the names that the tables use. The server does not remove
        them meanwhile; later on they need no name."""
        for (number,) in self._root.execute(f"SELECT file FROM {schema}.runs").fetchall():
            path = str(folder / f"{number}.duckdb").replace("'", "''")
            self._root.execute(f"ATTACH '{path}' AS sealed_{number} (READ_ONLY)")

    def _position(self, schema: str) -> int:
        row = self._root.execute(f"SELECT position FROM {schema}.progress").fetchone()
        return int(row[0]) if row is not None else 0

    def run(self, task: Run) -> Iterator[tuple[int, int, bytes]]:
        """Yields the frames of the answer. Raises QueryRefused, MemoryError, and other errors after which the
        instance cannot be used."""
        cursor = self._root.cursor()
        try:
            self._use_views(cursor, task.query[:MAX_QUERY_CHARS], task.as_of)
            gate = self._gate if task.as_of is None else self._past_gate
            statement = gate.checked(cursor, task.query, task.parameters)
            if task.parameters is None:
                task = msgspec.structs.replace(task, parameters=_nulls(statement.parameters))
            if task.format == "flight":
                yield HEAD, 0, msgspec.json.encode(Head(0, "", list(statement.parameters)))
                for piece in arrow.messages(cursor, statement, task):
                    if isinstance(piece, Head):
                        yield END, 0, msgspec.json.encode(piece)
                    else:
                        yield BODY, 0, piece
                return
            found = results.of(cursor, statement, task, self._memory)
        except duckdb.OutOfMemoryException:
            raise MemoryError from None
        except _FATAL:
            raise
        except duckdb.Error as error:
            raise QueryRefused(f"query: {str(error)[:_ERROR_CHARS]}") from None
        finally:
            cursor.close()
        head = msgspec.structs.replace(found.head, parameters=list(statement.parameters))
        yield HEAD, 0, msgspec.json.encode(head)
        for piece in found.pieces:
            yield BODY, 0, piece

    def _use_views(self, cursor: duckdb.DuckDBPyConnection, query: str, as_of: AsOf | None) -> None:
        if as_of is None:
            self._present.use(cursor, query)
            return
        # Constants to a plan of this connection, so that one view of the past serves all moments.
        cursor.execute(f"SET VARIABLE {AS_OF_POSITION} = {as_of.position:d}")
        cursor.execute(f"SET VARIABLE {AS_OF_NS} = {as_of.until_ns:d}")
        self._past.use(cursor, query)


def _nulls(names: Sequence[str]) -> Parameters:
    return [None] * len(names) if all(name.isdecimal() for name in names) else dict.fromkeys(names)
