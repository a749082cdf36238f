"""Results as a Parquet file, which DuckDB writes to memory: the process can open no file.

DuckDB writes to file systems of Python (`fsspec`) as well, and those are all that is left to it. pyarrow would be a
hundred times as large as that, and knows fewer of DuckDB's types.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import duckdb

from stack.providers.sql.columns import PARQUET, limited
from stack.providers.sql.gate import Statement
from stack.providers.sql.pieces import Result, split
from stack.providers.sql.tasks import Head, Run

FOLDER = "result://memory/"
"""The only folder in which DuckDB may write once its configuration is locked."""
_PATH = f"{FOLDER}result.parquet"
_SPARE = 0.9


class Memory:
    """The file system with the one file that is being written, for one instance of DuckDB."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        from fsspec import AbstractFileSystem

        memory = self

        class Files(AbstractFileSystem):  # type: ignore[misc]
            protocol = ("result",)

            def open(self, path: str, mode: str = "rb", **options: Any) -> BytesIO:
                if mode != "wb":
                    raise FileNotFoundError(path)
                memory.file = _Kept()
                return memory.file

            def exists(self, path: str, **options: Any) -> bool:
                return False

            isfile = isdir = exists

        self.file = _Kept()
        database.register_filesystem(Files())

    def copied(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> bytes:
        """Returns the Parquet file of a SELECT. Raises duckdb.Error."""
        cursor.execute(f"COPY ({sql}) TO '{_PATH}' (FORMAT parquet, USE_TMP_FILE false)").fetchall()
        content, self.file = self.file.getvalue(), _Kept()
        return content


class _Kept(BytesIO):
    def close(self) -> None:
        """Its content is read after DuckDB has closed it."""


def written(cursor: duckdb.DuckDBPyConnection, statement: Statement, task: Run, memory: Memory) -> Result:
    """Returns the result, cut between two rows. Raises duckdb.Error."""
    sql, parameters = limited(cursor, statement, task, PARQUET)
    # A table, so that a file that is too large can be written again with fewer rows.
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE result AS {sql}", parameters)
    [[found]] = cursor.execute("SELECT count(*) FROM result").fetchall()
    rows, truncated = min(found, task.max_rows), "rows" if found > task.max_rows else ""
    while len(content := memory.copied(cursor, f"FROM temp.result LIMIT {rows}")) > task.max_bytes and rows:
        rows = min(rows - 1, int(rows * task.max_bytes / len(content) * _SPARE))
        truncated = "bytes"
    return Result(Head(rows, truncated), split([content]))
