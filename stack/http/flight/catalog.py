"""Answers to what tools ask before they query: catalogs, schemas, tables, types and keys. The columns are those of
`FlightSql.proto`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from stack.http.flight import sql_info, type_info
from stack.http.flight.arrow_tables import Column, stream
from stack.services.sql.views import schema

CATALOG, SCHEMA, TABLE_TYPE = "memory", "main", "VIEW"
"""The names under which a query can address the views: `memory.main.spans`."""

Described = Callable[[str], Awaitable[bytes]]
"""Returns the columns of a query's result as an Arrow schema message."""

_CATALOGS = [Column("catalog_name", "string")]
_SCHEMAS = [Column("catalog_name", "string", True), Column("db_schema_name", "string")]
_TABLES = [
    Column("catalog_name", "string", True),
    Column("db_schema_name", "string", True),
    Column("table_name", "string"),
    Column("table_type", "string"),
]
_TABLE_SCHEMA = Column("table_schema", "binary")
_TABLE_TYPES = [Column("table_type", "string")]
_PRIMARY_KEYS = [
    Column("catalog_name", "string", True),
    Column("db_schema_name", "string", True),
    Column("table_name", "string"),
    Column("column_name", "string"),
    Column("key_name", "string", True),
    Column("key_sequence", "int32"),
]
_FOREIGN_KEYS = [
    Column("pk_catalog_name", "string", True),
    Column("pk_db_schema_name", "string", True),
    Column("pk_table_name", "string"),
    Column("pk_column_name", "string"),
    Column("fk_catalog_name", "string", True),
    Column("fk_db_schema_name", "string", True),
    Column("fk_table_name", "string"),
    Column("fk_column_name", "string"),
    Column("key_sequence", "int32"),
    Column("fk_key_name", "string", True),
    Column("pk_key_name", "string", True),
    Column("update_rule", "uint8"),
    Column("delete_rule", "uint8"),
]
# The views have no keys.
_EMPTY = {
    "CommandGetPrimaryKeys": _PRIMARY_KEYS,
    "CommandGetExportedKeys": _FOREIGN_KEYS,
    "CommandGetImportedKeys": _FOREIGN_KEYS,
    "CommandGetCrossReference": _FOREIGN_KEYS,
}
COMMANDS = frozenset(
    (
        "CommandGetSqlInfo",
        "CommandGetXdbcTypeInfo",
        "CommandGetCatalogs",
        "CommandGetDbSchemas",
        "CommandGetTables",
        "CommandGetTableTypes",
        *_EMPTY,
    )
)


class Catalog:
    """`described` is called once for each view whose columns are asked for: views do not change while a server runs."""

    def __init__(self, described: Described) -> None:
        self._described = described
        self._schemas: dict[str, bytes] = {}

    def columns(self, name: str, command: Any) -> bytes:
        """Returns the stream that answers one of `COMMANDS`, without its rows."""
        if name == "CommandGetSqlInfo":
            return sql_info.stream(())
        return stream(_columns(name, command), ())

    async def answer(self, name: str, command: Any) -> bytes:
        """Returns the stream that answers one of `COMMANDS`. Raises the errors of queries."""
        match name:
            case "CommandGetSqlInfo":
                return sql_info.stream(command.info or sql_info.NUMBERS)
            case "CommandGetXdbcTypeInfo":
                wanted = command.data_type if command.HasField("data_type") else None
                rows: list[tuple[Any, ...]] = type_info.rows(wanted)
            case "CommandGetCatalogs":
                rows = [(CATALOG,)]
            case "CommandGetDbSchemas":
                rows = [(CATALOG, SCHEMA)] if _is_wanted(command) else []
            case "CommandGetTables":
                rows = await self._tables(command)
            case "CommandGetTableTypes":
                rows = [(TABLE_TYPE,)]
            case _:
                rows = []
        return stream(_columns(name, command), rows)

    async def _tables(self, command: Any) -> list[tuple[Any, ...]]:
        if not _is_wanted(command) or (command.table_types and TABLE_TYPE not in command.table_types):
            return []
        views = (await asyncio.to_thread(schema)).views
        pattern = _pattern(command, "table_name_filter_pattern")
        names = sorted(view.name for view in views if pattern is None or matches(view.name, pattern))
        rows: list[tuple[Any, ...]] = [(CATALOG, SCHEMA, name, TABLE_TYPE) for name in names]
        if command.include_schema:
            return [(*row, await self._schema(row[2])) for row in rows]
        return rows

    async def _schema(self, view: str) -> bytes:
        if view not in self._schemas:
            self._schemas[view] = await self._described(f"SELECT * FROM {view}")
        return self._schemas[view]


def matches(name: str, pattern: str) -> bool:
    """Returns whether a name has the form of a pattern, in which `%` is any text, `_` any character, and a backslash
    makes both usual characters. Takes time proportional to the product of both lengths at most."""
    parts = _parts(pattern)
    at = part = 0
    any_at, any_part = 0, -1
    while at < len(name):
        if part < len(parts) and parts[part] == "%":
            any_at, any_part = at, part
            part += 1
        elif part < len(parts) and parts[part] in ("_", "\\" + name[at]):
            at, part = at + 1, part + 1
        elif any_part >= 0:
            any_at += 1
            at, part = any_at, any_part + 1
        else:
            return False
    return all(one == "%" for one in parts[part:])


def _parts(pattern: str) -> list[str]:
    """Returns `%`, `_`, and other characters after a backslash."""
    parts: list[str] = []
    escaped = False
    for sign in pattern:
        if not escaped and sign == "\\":
            escaped = True
            continue
        parts.append(sign if sign in "%_" and not escaped else "\\" + sign)
        escaped = False
    return [*parts, "\\\\"] if escaped else parts


def _columns(name: str, command: Any) -> list[Column]:
    match name:
        case "CommandGetXdbcTypeInfo":
            return type_info.COLUMNS
        case "CommandGetCatalogs":
            return _CATALOGS
        case "CommandGetDbSchemas":
            return _SCHEMAS
        case "CommandGetTables":
            return [*_TABLES, _TABLE_SCHEMA] if command.include_schema else _TABLES
        case "CommandGetTableTypes":
            return _TABLE_TYPES
        case _:
            return _EMPTY[name]


def _is_wanted(command: Any) -> bool:
    pattern = _pattern(command, "db_schema_filter_pattern")
    if command.HasField("catalog") and command.catalog != CATALOG:
        return False
    return pattern is None or matches(SCHEMA, pattern)


def _pattern(command: Any, field: str) -> str | None:
    return str(getattr(command, field)) if command.HasField(field) else None
