"""Results as JSON, JSON lines, CSV, Arrow and Parquet, made as a whole up to the limits, so that the answer's head can
name the limit that cut it.

In the text formats, what JSON has is JSON: booleans, integers of up to 64 bits, numbers, texts, lists, structs and
maps as objects. NaN and the infinities are the texts `NaN`, `Infinity` and `-Infinity`; all else, such as times,
decimals, larger integers and blobs, is the text that DuckDB shows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import msgspec
from msgspec import Struct

from stack.providers.sql import arrow, parquet
from stack.providers.sql.columns import described, distinct, fetched
from stack.providers.sql.gate import Statement
from stack.providers.sql.parquet import Memory
from stack.providers.sql.pieces import Result
from stack.providers.sql.tasks import Format, Head, Run

FORMATS: tuple[Format, ...] = ("json", "ndjson", "csv", "arrow", "parquet")
_FETCHED_ROWS = 1024
_encode = msgspec.json.Encoder().encode

_QUOTED = r'"(?:[^"]|"")*"'
_TEXT_TYPES = (
    r"TIMESTAMP(?:_S|_MS|_NS|TZ|_TZ)?(?: WITH TIME ZONE)?|DATE|TIME(?:_NS|TZ)?(?: WITH TIME ZONE)?|INTERVAL|UUID|U?HUGEINT|"
    r"BIGNUM|BLOB|BIT|GEOMETRY|DECIMAL\(\d+,\s*\d+\)|ENUM\((?:'(?:[^']|'')*'(?:,\s*)?)*\)"
)
_TYPE_PART = re.compile(rf"({_QUOTED})|(?<![\w.])({_TEXT_TYPES})(?=[,)\[]|$)")
_PLAIN = re.compile(r"BOOLEAN|U?(?:TINY|SMALL|BIG)INT|U?INTEGER|VARCHAR|DOUBLE|FLOAT")


class _Column(Struct, frozen=True):
    """`convert` makes a fetched value one that can be encoded; None if it is one."""

    name: str
    type: str
    selected: str
    convert: Callable[[Any], Any] | None


def of(cursor: duckdb.DuckDBPyConnection, statement: Statement, task: Run, memory: Memory) -> Result:
    """Returns the whole result. Raises duckdb.Error."""
    if task.format == "arrow":
        return arrow.written(cursor, statement, task)
    if task.format == "parquet":
        return parquet.written(cursor, statement, task, memory)
    parameters: Any = task.parameters
    if statement.is_explained:
        cursor.execute(statement.sql, parameters)
        columns = [_Column(str(one[0]), "VARCHAR", "", None) for one in cursor.description or ()]
    else:
        found = described(cursor, statement, parameters)
        columns = [_column(number, one.name, one.type) for number, one in enumerate(found)]
        names = ", ".join([f"c{number}" for number in range(len(columns))])
        selected = ", ".join([column.selected for column in columns])
        cursor.execute(
            f"SELECT {selected} FROM (\n{statement.sql}\n) AS result({names}) LIMIT {fetched(task)}",
            parameters,
        )
    writer = {"json": _json, "ndjson": _lines, "csv": _csv}[task.format]
    return writer(columns, _Rows(cursor, columns, task.max_rows), task.max_bytes)


class _Rows:
    """Rows as lists of values that can be encoded. `truncated` names the limit once they were cut."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, columns: list[_Column], max_rows: int) -> None:
        self._cursor = cursor
        self._converted = [
            (at, column.convert) for at, column in enumerate(columns) if column.convert is not None
        ]
        self._max_rows = max_rows
        self.count = 0
        self.truncated = ""

    def __iter__(self) -> Iterator[list[Any]]:
        while rows := self._cursor.fetchmany(_FETCHED_ROWS):
            for row in rows:
                if self.count == self._max_rows:
                    self.truncated = "rows"
                    return
                values = list(row)
                for at, convert in self._converted:
                    if values[at] is not None:
                        values[at] = convert(values[at])
                yield values
                self.count += 1

    def written(self, rows: Iterator[bytes], left: int) -> list[bytes]:
        """Returns rows in their written form, joined in pieces, as far as they fit."""
        pieces: list[bytes] = []
        piece: list[bytes] = []
        size = 0
        for row in rows:
            left -= len(row)
            if left < 0:
                self.truncated = "bytes"
                break
            piece.append(row)
            size += len(row)
            if size >= 1 << 18:
                pieces.append(b"".join(piece))
                piece, size = [], 0
        return [*pieces, b"".join(piece)]

    @property
    def head(self) -> Head:
        return Head(self.count, self.truncated)


def _json(columns: list[_Column], rows: _Rows, max_bytes: int) -> Result:
    shown = [{"name": column.name, "type": column.type} for column in columns]
    start = b'{"columns":' + _encode(shown) + b',"rows":['
    pieces = rows.written(
        (b"," + _encode(row) if rows.count else _encode(row) for row in rows), max_bytes - len(start)
    )
    truncated = _encode(rows.truncated or None)
    return Result(
        rows.head,
        [start, *pieces, b'],"row_count":%d,"truncated":%s}' % (rows.count, truncated)],
    )


def _lines(columns: list[_Column], rows: _Rows, max_bytes: int) -> Result:
    names = distinct([column.name for column in columns])
    encoded = (_encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows)
    pieces = rows.written(encoded, max_bytes)
    return Result(rows.head, pieces)


def _csv(columns: list[_Column], rows: _Rows, max_bytes: int) -> Result:
    start = ",".join([_cell(column.name) for column in columns]).encode() + b"\r\n"
    encoded = (",".join([_cell(value) for value in row]).encode() + b"\r\n" for row in rows)
    pieces = rows.written(encoded, max_bytes - len(start))
    return Result(rows.head, [start, *pieces])


def _cell(value: Any) -> str:
    """Returns a cell: NULL is empty, an empty text is `""`."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else _encode(value).decode()
    if not text or any(mark in text for mark in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


def _column(number: int, name: str, type: str) -> _Column:
    at = f"c{number}"
    if _PLAIN.fullmatch(type):
        return _Column(name, type, at, _finite if type in ("DOUBLE", "FLOAT") else None)
    if type in ("JSON", "VARIANT"):
        return _Column(name, type, f"CAST(CAST({at} AS JSON) AS VARCHAR)", _parsed)
    if _TYPE_PART.fullmatch(type) or ("(" not in type and "[" not in type):
        return _Column(name, type, f"CAST({at} AS VARCHAR)", None)
    if _is_nested_json(type):
        return _Column(name, type, f"CAST(to_json({at}) AS VARCHAR)", _parsed)
    texts = _TYPE_PART.sub(lambda part: part[1] or "VARCHAR", type)
    return _Column(name, type, f"CAST({at} AS {texts})", _nested)


def _is_nested_json(type: str) -> bool:
    bare = re.sub(_QUOTED, "", type)
    return re.search(r"(?<!\w)(?:JSON|VARIANT|UNION)(?!\w)", bare) is not None


def _finite(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _nested(value: Any) -> Any:
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, list | tuple):
        return [_nested(one) for one in value]
    if isinstance(value, dict):
        return {_key(key): _nested(one) for key, one in value.items()}
    return value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else _encode(_nested(key)).decode().strip('"')


def _parsed(text: str) -> Any:
    """Returns the content of JSON text as it is, unless it has numbers that only DuckDB takes for JSON."""
    if "NaN" in text or "nan" in text or "nf" in text:
        return _nested(json.loads(text))
    return msgspec.Raw(text.encode())
