"""Attaches a file of the warehouse: with its options, and set aside if it is damaged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import duckdb

from projections.warehouse import files
from projections.warehouse.errors import FileInUse, StorageFailed
from projections.warehouse.transaction import File

# With less free space than this, a file that cannot be opened is not damaged: the disk is full.
FULL_BYTES = 1 << 20

# Limits are known of each row group: one of many keys among 2 million rows takes 3 ms instead of 6 with small groups. Rows
# that lie apart are read from half as many bytes in small blocks; still smaller ones cost twice as much to write.
OPTIONS: dict[str, str] = {"telemetry": " (ROW_GROUP_SIZE 30720, BLOCK_SIZE 65536)"}


def attachment(path: Path, file: File, name: str = "") -> str:
    """The statement that attaches a file with the options of `file`, as `name` if that is another one."""
    return f"ATTACH {quoted(str(path))} AS {name or file}{OPTIONS.get(file, '')}"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def attach(root: duckdb.DuckDBPyConnection, path: Path, name: File) -> None:
    """Attaches the file. One that cannot be read as a database is set aside and recreated: both files can be
    rebuilt from their logs. A file that is held by another process, or that may not be opened, is left alone."""
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
            with path.open("r+b"):  # a permission or a disk that fails is no damage: let that error out
                pass
        is_full = "No space left" in reason or files.free_bytes(path.parent) < FULL_BYTES
        if is_full or isinstance(error, duckdb.OutOfMemoryException):
            raise StorageFailed(reason) from error
        with suppress(duckdb.Error):
            root.execute(f"DETACH {name}")
        files.set_aside(path)
        root.execute(statement)
