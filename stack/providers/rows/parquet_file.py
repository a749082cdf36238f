"""Rows of Parquet files, converted to JSON by DuckDB: exact if JSON has the type, otherwise as text.

Integers and decimals of any width keep all their digits; NaN and the infinities are the strings "NaN",
"Infinity" and "-Infinity"; a timestamp is RFC 3339 in UTC with up to nine fractional digits (one without a
time zone is assumed to be UTC), a date or a time is its ISO 8601 text, binary is base64. Lists, structs and
maps are nested; the key of a map is text. All other types become text. A null is null, not a missing key. A
column whose name equals that of an earlier one, ignoring case, gets a numeric suffix.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import duckdb

from stack.errors import Invalid
from stack.providers.rows.content import Content
from stack.providers.rows.port import RowBlock
from stack.providers.rows.row_text import packed

_FETCH_ROWS = 2048
# Share of the process's address space; the rest is for memory that DuckDB does not count.
_MEMORY_SHARE = 0.5
_MAX_NESTING = 100


def parquet_rows(content: Content) -> Iterator[RowBlock]:
    """Raises Invalid for content that is not a Parquet file or takes too much memory to read, TooLarge."""
    # The data are read through the descriptor, at offsets; the database must not open anything else.
    path = f"/dev/fd/{content.fd}"
    try:
        with _database(path, content.limits.memory_bytes) as database:
            (count,) = database.execute(
                f"SELECT sum(num_rows) FROM parquet_file_metadata('{path}')"
            ).fetchone() or (0,)
            if count > content.limits.max_rows:
                raise Invalid(
                    f"{content.shown} has {count} rows, more than {content.limits.max_rows} (setting max_dataset_rows)."
                )
            yield from packed(_texts(database, path), lambda index: f"{content.shown}: a row", content.limits)
    except duckdb.OutOfMemoryException:
        raise Invalid(
            f"{content.shown} takes more memory to read than the {content.limits.memory_bytes} bytes there are for "
            "it (setting max_dataset_memory_bytes). Write it with smaller row groups."
        ) from None
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0].replace(path, "the file")
        raise Invalid(f"{content.shown} cannot be read as Parquet: {reason}") from None


def _database(path: str, memory_bytes: int) -> duckdb.DuckDBPyConnection:
    memory_mib = int(memory_bytes * _MEMORY_SHARE) >> 20
    database = duckdb.connect(
        ":memory:",
        config={"threads": 1, "memory_limit": f"{memory_mib}MiB", "temp_directory": ""},
    )
    for statement in (
        f"SET allowed_paths = ['{path}']",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        database.execute(statement)
    return database


def _texts(database: duckdb.DuckDBPyConnection, path: str) -> Iterator[bytes]:
    source = f"read_parquet('{path}')"
    columns = database.sql(f"FROM {source} LIMIT 0")
    fields = _members(
        [
            (name, f't."{_quoted(name)}"', type)
            for name, type in zip(columns.columns, columns.types, strict=True)
        ],
        0,
    )
    # A single thread keeps the order of the file.
    found = database.execute(f"SELECT concat('{{', {fields}, '}}') FROM {source} t")
    while rows := found.fetchmany(_FETCH_ROWS):
        for (text,) in rows:
            yield text.encode()


def _members(members: list[tuple[str, str, Any]], depth: int) -> str:
    """Returns the arguments of `concat` that produce the members of an object."""
    parts = []
    for index, (name, value, type) in enumerate(members):
        key = ("," if index else "") + json.dumps(name, ensure_ascii=False) + ":"
        parts += [_literal(key), _json(value, type, depth)]
    return ", ".join(parts) or "''"


def _json(value: str, type: Any, depth: int) -> str:
    """Returns SQL for the JSON text of `value`, which is SQL that occurs more than once in it."""
    if depth > _MAX_NESTING:
        raise Invalid(f"The Parquet schema is nested deeper than {_MAX_NESTING} levels.")
    write = _WRITERS.get(type.id)
    text = write(value, type, depth) if write else _as_text(value, type, depth)
    return f"CASE WHEN {value} IS NULL THEN 'null' ELSE {text} END"


def _as_number(value: str, type: Any, depth: int) -> str:
    return f"CAST({value} AS VARCHAR)"


def _as_float(value: str, type: Any, depth: int) -> str:
    return (
        f"CASE WHEN isfinite({value}) THEN CAST({value} AS VARCHAR) WHEN isnan({value}) THEN '\"NaN\"' "
        f"WHEN {value} > 0 THEN '\"Infinity\"' ELSE '\"-Infinity\"' END"
    )


def _as_text(value: str, type: Any, depth: int) -> str:
    return f"CAST(to_json(CAST({value} AS VARCHAR)) AS VARCHAR)"


def _as_base64(value: str, type: Any, depth: int) -> str:
    return f"concat('\"', to_base64({value}), '\"')"


def _as_timestamp(value: str, type: Any, depth: int) -> str:
    # Years outside of RFC 3339's range keep DuckDB's text.
    plain = f"CAST({value} AS VARCHAR)"
    return (
        f"CASE WHEN isfinite({value}) AND {plain} SIMILAR TO '\\d{{4}}-\\d\\d-\\d\\d [0-9:.]+' "
        f"THEN concat('\"', replace({plain}, ' ', 'T'), 'Z\"') ELSE concat('\"', {plain}, '\"') END"
    )


def _as_utc(value: str, type: Any, depth: int) -> str:
    # Computed from the number: a cast would need the time zone database.
    return _as_timestamp(f"make_timestamp(epoch_us({value}))", type, depth)


def _as_list(value: str, type: Any, depth: int) -> str:
    item = f"i{depth}"
    (_, child), *_ = type.children
    return f"concat('[', array_to_string(list_transform({value}, lambda {item}: {_json(item, child, depth + 1)}), ','), ']')"


def _as_struct(value: str, type: Any, depth: int) -> str:
    members = [(name, f"struct_extract({value}, {_literal(name)})", child) for name, child in type.children]
    return f"concat('{{', {_members(members, depth + 1)}, '}}')"


def _as_map(value: str, type: Any, depth: int) -> str:
    entry = f"e{depth}"
    (_, key_type), (_, value_type) = type.children
    key = _json(f"{entry}.key", key_type, depth + 1)
    quoted = f"CASE WHEN starts_with({key}, '\"') THEN {key} ELSE CAST(to_json({key}) AS VARCHAR) END"
    member = f"concat({quoted}, ':', {_json(f'{entry}.value', value_type, depth + 1)})"
    return f"concat('{{', array_to_string(list_transform(map_entries({value}), lambda {entry}: {member}), ','), '}}')"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return name.replace('"', '""')


_Writer = Callable[[str, Any, int], str]
_NUMBERS = (
    "boolean",
    *(
        f"{sign}{width}"
        for sign in ("", "u")
        for width in ("tinyint", "smallint", "integer", "bigint", "hugeint")
    ),
    "decimal",
)
_WRITERS: dict[str, _Writer] = {
    **dict.fromkeys(_NUMBERS, _as_number),
    **dict.fromkeys(("float", "double"), _as_float),
    **dict.fromkeys(("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"), _as_timestamp),
    "timestamp with time zone": _as_utc,
    "blob": _as_base64,
    "list": _as_list,
    "array": _as_list,
    "struct": _as_struct,
    "map": _as_map,
}
