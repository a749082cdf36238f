"""The types of DuckDB as JDBC and ODBC know them (`CommandGetXdbcTypeInfo`)."""

from __future__ import annotations

from typing import Any

from stack.http.flight.arrow_tables import Column

COLUMNS = [
    Column("type_name", "string"),
    Column("data_type", "int32"),
    Column("column_size", "int32", True),
    Column("literal_prefix", "string", True),
    Column("literal_suffix", "string", True),
    Column("create_params", "strings", True),
    Column("nullable", "int32"),
    Column("case_sensitive", "bool"),
    Column("searchable", "int32"),
    Column("unsigned_attribute", "bool", True),
    Column("fixed_prec_scale", "bool"),
    Column("auto_increment", "bool", True),
    Column("local_type_name", "string", True),
    Column("minimum_scale", "int32", True),
    Column("maximum_scale", "int32", True),
    Column("sql_data_type", "int32"),
    Column("datetime_subcode", "int32", True),
    Column("num_prec_radix", "int32", True),
    Column("interval_precision", "int32", True),
]

_BIT, _TINYINT, _BIGINT, _VARBINARY = -7, -6, -5, -3
_NUMERIC, _DECIMAL, _INTEGER, _SMALLINT, _REAL, _DOUBLE, _DATETIME, _VARCHAR = 2, 3, 4, 5, 7, 8, 9, 12
_DATE, _TIME, _TIMESTAMP = 91, 92, 93
_NULLABLE = 1
_SEARCHABLE_BASIC, _SEARCHABLE_FULL = 2, 3

# The size of a number is in decimal digits, but in bits for a float; the size of a time is that of its text.
_INTEGERS = {
    "TINYINT": (_TINYINT, 3),
    "SMALLINT": (_SMALLINT, 5),
    "INTEGER": (_INTEGER, 10),
    "BIGINT": (_BIGINT, 19),
    "HUGEINT": (_NUMERIC, 38),
    "UTINYINT": (_SMALLINT, 3),
    "USMALLINT": (_INTEGER, 5),
    "UINTEGER": (_BIGINT, 10),
    "UBIGINT": (_NUMERIC, 20),
}
_FLOATS = {"FLOAT": (_REAL, 24), "DOUBLE": (_DOUBLE, 53)}
_TIMES = {"DATE": (_DATE, 10, 1), "TIME": (_TIME, 15, 2), "TIMESTAMP": (_TIMESTAMP, 26, 3)}
_TIMES["TIMESTAMP WITH TIME ZONE"] = (_TIMESTAMP, 32, 5)


def rows(wanted: int | None) -> list[tuple[Any, ...]]:
    """Returns the types with this number in JDBC, or all, in the order of the specification."""
    found = [
        _row("BOOLEAN", _BIT, 1),
        _row("VARCHAR", _VARCHAR, None, quotes="'", searchable=_SEARCHABLE_FULL, case_sensitive=True),
        _row("BLOB", _VARBINARY, None, quotes="'"),
        _row("DECIMAL", _DECIMAL, 38, is_unsigned=False, scales=(0, 38), radix=10),
        *(
            _row(name, number, size, is_unsigned=name.startswith("U"), scales=(0, 0), radix=10)
            for name, (number, size) in _INTEGERS.items()
        ),
        *(_row(name, number, size, is_unsigned=False, radix=2) for name, (number, size) in _FLOATS.items()),
        *(
            _row(name, number, size, quotes="'", subcode=code)
            for name, (number, size, code) in _TIMES.items()
        ),
    ]
    found = [row for row in found if wanted is None or row[1] == wanted]
    return sorted(found, key=lambda row: (row[1], row[0]))


def _row(
    name: str,
    number: int,
    size: int | None,
    *,
    quotes: str | None = None,
    searchable: int = _SEARCHABLE_BASIC,
    case_sensitive: bool = False,
    is_unsigned: bool | None = None,
    scales: tuple[int | None, int | None] = (None, None),
    radix: int | None = None,
    subcode: int | None = None,
) -> tuple[Any, ...]:
    auto_increment = None if is_unsigned is None else False
    general = number if subcode is None else _DATETIME
    return (
        *(name, number, size, quotes, quotes, None, _NULLABLE, case_sensitive, searchable),
        *(is_unsigned, False, auto_increment, name, *scales, general, subcode, radix, None),
    )
