"""Attaches a file of the warehouse with its options; a damaged file is set aside."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import duckdb

from projections.warehouse import files
from projections.warehouse.errors import FileInUse, StorageFailed
from projections.warehouse.transaction import File, until_allowed

# With less free space than this, in bytes, a file that cannot be opened is assumed to be intact: the disk is
# full.
FULL_BYTES = 1 << 20

# Statistics are kept for each row group: finding one of many keys among 2 million rows takes 3 ms instead of
# 6 ms with small groups. Scattered rows are read from half as many bytes with small blocks; even smaller
# blocks cost twice as much to write.
OPTIONS: dict[str, str] = {"telemetry": " (ROW_GROUP_SIZE 30720, BLOCK_SIZE 65536)"}


def attachment(path: Path, file: File, name: str = "") -> str:
    """Returns the statement that attaches a file with the options of `file`, as `name` if given."""
    return f"ATTACH {quoted(str(path))} AS {name or file}{OPTIONS.get(file, '')}"


def attach_again(root: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Attaches a file that was detached a moment ago. DuckDB has the old one until the last transaction that has seen it
    ends, also one of another file."""
    until_allowed(lambda: root.execute(statement), lambda error: "already attached" in str(error))


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def attach(root: duckdb.DuckDBPyConnection, path: Path, name: File) -> None:
    """Attaches the file. A file that is not a readable database is set aside and recreated: both files can be
    rebuilt from their logs. A file that is used by another process, or that may not be opened, is not
    touched."""
    if files.is_incomplete(path):
        files.set_aside(path)
    statement = attachment(path, name)
    try:
        root.execute(statement)
    except duckdb.Error as error:
        reason = str(error)
        if "lock on file" in reason:
            raise FileInUse(reason) from error
        if path.exists():
            with path.open("r+b"):  # a permission or disk error is not damage: raise it
                pass
        is_full = "No space left" in reason or files.free_bytes(path.parent) < FULL_BYTES
        if is_full or isinstance(error, duckdb.OutOfMemoryException):
            raise StorageFailed(reason) from error
        with suppress(duckdb.Error):
            root.execute(f"DETACH {name}")
        files.set_aside(path)
        root.execute(statement)
