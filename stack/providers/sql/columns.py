"""The columns of a result, and what is selected of them for a format that lacks some of DuckDB's types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import duckdb
from msgspec import Struct

from stack.providers.sql.gate import Statement
from stack.providers.sql.tasks import Run

_QUOTED = r'"(?:[^"]|"")*"'
_ENUM = r"ENUM\((?:'(?:[^']|'')*'(?:,\s*)?)*\)"


class Described(Struct, frozen=True):
    """A column by the name and type that DuckDB gives it."""

    name: str
    type: str


class Types:
    """The types that a format lacks. A value of one, at any depth, is written as text or as another type. A column that
    has one of `as_json` in it is written as JSON text."""

    def __init__(self, others: dict[str, str], as_json: str = "") -> None:
        self._others = others
        self._part = re.compile(rf"({_QUOTED})|(?<![\w.])({'|'.join(others)})(?=[,)\[]|$)")
        self._json = re.compile(rf"(?<!\w)(?:{as_json})(?!\w)") if as_json else None

    def selected(self, column: str, type: str) -> str:
        """Returns the expression that is selected in place of a column."""
        bare = re.sub(_QUOTED, "", type)
        if self._json is not None and self._json.search(bare):
            return f"CAST(to_json({column}) AS VARCHAR)"
        other = self.other(type)
        return column if other == type else f"CAST({column} AS {other})"

    def other(self, type: str) -> str:
        return self._part.sub(self._replaced, type)

    def _replaced(self, part: re.Match[str]) -> str:
        if part[1]:
            return part[1]
        return next(other for pattern, other in self._others.items() if re.fullmatch(pattern, part[2]))


def described(cursor: duckdb.DuckDBPyConnection, statement: Statement, parameters: Any) -> list[Described]:
    """Returns the columns of a SELECT. Raises duckdb.Error."""
    found = cursor.execute(f"DESCRIBE (\n{statement.sql}\n)", parameters).fetchall()
    return [Described(str(row[0]), str(row[1])) for row in found]


def limited(
    cursor: duckdb.DuckDBPyConnection, statement: Statement, task: Run, types: Types
) -> tuple[str, Any]:
    """Returns the SELECT of a binary format, with distinct names and one row more than the result may have, and its
    parameters. The plan of EXPLAIN is a table of texts. Raises duckdb.Error."""
    parameters: Any = task.parameters
    if statement.is_explained and not task.max_rows:
        return "SELECT '' AS explain_key, '' AS explain_value LIMIT 0", None
    if statement.is_explained:
        rows = cursor.execute(statement.sql, parameters).fetchall()
        return _values([str(one[0]) for one in cursor.description or ()], rows), None
    columns = described(cursor, statement, parameters)
    names = distinct([column.name or "column" for column in columns])
    numbered = [f"c{number}" for number in range(len(columns))]
    selected = [
        f"{types.selected(number, column.type)} AS {_name(name)}"
        for number, column, name in zip(numbered, columns, names, strict=True)
    ]
    sql = (
        f"SELECT {', '.join(selected)} FROM (\n{statement.sql}\n) AS result({', '.join(numbered)}) "
        f"LIMIT {fetched(task)}"
    )
    return sql, parameters or None


def fetched(task: Run) -> int:
    """One row more than is wanted shows whether there are more; for none nothing is computed."""
    return task.max_rows + 1 if task.max_rows else 0


def distinct(names: Sequence[str]) -> list[str]:
    """Returns the names; one that occurs before gets a number, as in `name_1`."""
    found: dict[str, None] = {}
    for name in names:
        number, one = 0, name
        while one in found:
            number += 1
            one = f"{name}_{number}"
        found[one] = None
    return list(found)


def _values(names: list[str], rows: list[Any]) -> str:
    shown = ", ".join([f"({', '.join([_text(value) for value in row])})" for row in rows])
    return f"SELECT * FROM (VALUES {shown}) AS plan({', '.join(map(_name, names))})"


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


ARROW = Types(
    {
        _ENUM: "VARCHAR",
        "BIT|BIGNUM|UHUGEINT": "VARCHAR",
        # Arrow's times have no zone.
        r"TIME WITH TIME ZONE|TIMETZ": "VARCHAR",
    },
    as_json="VARIANT",
)
PARQUET = Types(
    {
        _ENUM: "VARCHAR",
        "BIT|BIGNUM|UHUGEINT": "VARCHAR",
        r"TIME WITH TIME ZONE|TIMETZ": "VARCHAR",
        # Parquet's intervals have no microseconds and are never negative.
        "INTERVAL": "VARCHAR",
        # DuckDB writes a DOUBLE otherwise.
        "HUGEINT": "DECIMAL(38, 0)",
    },
    as_json="VARIANT|UNION",
)
