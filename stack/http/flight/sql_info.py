"""The abilities of this server, by the numbers of `SqlInfo` in `FlightSql.proto`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stack.http.flight.arrow_tables import written
from stack.http.flight.statements import IDLE_S, MAX_PREPARED
from stack.providers.sql.gate import MAX_QUERY_CHARS
from stack.version import VERSION

_ARROW_FORMAT = "1.5"
# Numbers of `SqlSupportedCaseSensitivity`, `SqlNullOrdering`, `SqlOuterJoinsSupportLevel`.
_CASE_INSENSITIVE = 1
_NULLS_AT_END = 3
_FULL_OUTER_JOINS = 2
_ALL_OF_TWO, _ALL_OF_FOUR = 0b11, 0b1111
_FORWARD_ONLY, _READ_ONLY = 0b10, 0b10
_KEYWORDS = ("ANTI", "ASOF", "COLUMNS", "EXCLUDE", "LAMBDA", "PIVOT", "QUALIFY", "REPLACE", "SEMI", "UNPIVOT")


class Bits(int):
    """A mask, or one of a list of values."""


_INFO: dict[int, str | bool | int | Bits | tuple[str, ...]] = {
    0: "Replaystack",
    1: VERSION,
    2: _ARROW_FORMAT,
    3: True,  # read only
    4: True,  # SQL
    5: False,  # Substrait
    8: Bits(0),  # transactions of Flight SQL
    9: True,  # cancelling
    10: False,  # bulk ingestion
    11: False,  # the same in transactions
    100: Bits(int(IDLE_S * 1000)),  # milliseconds until an unused statement may be closed
    101: Bits(0),
    500: False,  # DDL of catalogs, schemas, tables
    501: False,
    502: False,
    503: Bits(_CASE_INSENSITIVE),
    504: '"',
    505: Bits(_CASE_INSENSITIVE),
    506: True,  # all tables can be selected
    507: Bits(_NULLS_AT_END),
    508: _KEYWORDS,
    509: (
        "abs",
        "ceil",
        "floor",
        "greatest",
        "least",
        "ln",
        "log10",
        "mod",
        "power",
        "round",
        "sign",
        "sqrt",
        "trunc",
    ),
    510: (
        "concat",
        "left",
        "length",
        "lower",
        "ltrim",
        "replace",
        "right",
        "rtrim",
        "substring",
        "trim",
        "upper",
    ),
    511: ("coalesce", "ifnull", "nullif"),
    512: (
        "date_diff",
        "date_part",
        "date_trunc",
        "dayname",
        "hour",
        "minute",
        "month",
        "monthname",
        "second",
        "year",
    ),
    513: "\\",  # escapes `_` and `%` in patterns of names
    514: "$",
    515: True,  # aliases of columns
    516: True,  # a text and NULL make NULL
    518: True,  # aliases of tables, that need not differ from names of tables
    519: False,
    520: True,  # expressions in ORDER BY
    521: True,
    522: Bits(_ALL_OF_TWO),  # GROUP BY
    523: True,  # LIKE ... ESCAPE
    524: False,  # columns without NULL
    525: Bits(0b111),  # the whole grammar of ODBC
    526: Bits(0b1),  # entry level of ANSI 92
    527: False,
    528: Bits(_FULL_OUTER_JOINS),
    529: "schema",
    530: "procedure",
    531: "catalog",
    532: True,
    533: Bits(0),
    534: Bits(0),
    535: Bits(0),
    536: False,
    537: False,
    538: Bits(_ALL_OF_FOUR),  # subqueries
    539: True,
    540: Bits(_ALL_OF_TWO),  # UNION
    557: MAX_QUERY_CHARS,
    558: MAX_PREPARED,
    562: Bits(0),  # no transactions
    563: False,
    564: Bits(0b1),
    565: False,
    566: False,
    567: Bits(_FORWARD_ONLY),
    568: Bits(0),
    569: Bits(_READ_ONLY),
    570: Bits(0),
    571: Bits(0),
    572: False,
    573: False,
    574: False,
    575: False,
    576: False,
}
NUMBERS = tuple(_INFO)
_PARTS = (
    "string_value",
    "bool_value",
    "bigint_value",
    "int32_bitmask",
    "string_list",
    "int32_to_int32_list_map",
)
_STRING, _BOOL, _BIGINT, _BITS, _STRINGS = range(5)


def stream(wanted: Iterable[int]) -> bytes:
    """Returns the known ones of these numbers with their values, as an Arrow stream."""
    import nanoarrow as na

    numbers = [number for number in wanted if number in _INFO]
    codes: list[int] = []
    offsets: list[int] = []
    values: list[list[Any]] = [[] for _ in range(6)]
    for number in numbers:
        value = _INFO[number]
        code = _code(value)
        codes.append(code)
        offsets.append(len(values[code]))
        values[code].append(value)
    types = _types(na)
    lists = values[_STRINGS]
    ends = [sum(len(one) for one in lists[:at]) for at in range(len(lists) + 1)]
    texts = na.c_array([text for one in lists for text in one], na.string())
    children = [
        *(na.c_array([*values[code]], types[code]) for code in (_STRING, _BOOL, _BIGINT, _BITS)),
        na.c_array_from_buffers(
            types[_STRINGS], len(lists), [None, na.c_buffer(ends, na.int32())], children=[texts]
        ),
        _no_maps(na, types[5]),
    ]
    unnamed = na.c_schema(na.dense_union(types, nullable=False))
    union = unnamed.modify(children=dict(zip(_PARTS, unnamed.children, strict=True)))
    buffers = [na.c_buffer(codes, na.int8()), na.c_buffer(offsets, na.int32())]
    columns = [
        na.c_array(numbers, na.uint32()),
        na.c_array_from_buffers(union, len(numbers), buffers, children=children),
    ]
    table = na.struct({"info_name": na.uint32(nullable=False), "value": union}, nullable=False)
    return written(table, len(numbers), columns, na)


def _code(value: object) -> int:
    match value:
        case bool():
            return _BOOL
        case Bits():
            return _BITS
        case int():
            return _BIGINT
        case tuple():
            return _STRINGS
        case _:
            return _STRING


def _types(na: Any) -> list[Any]:
    """The union's parts, in the order of the specification."""
    lists = na.list_(na.int32())
    return [
        na.string(),
        na.bool_(),
        na.int64(),
        na.int32(),
        na.list_(na.string()),
        na.map_(na.int32(), lists),
    ]


def _no_maps(na: Any, type: Any) -> Any:
    none = na.c_buffer([0], na.int32())
    lists = na.c_array_from_buffers(
        na.list_(na.int32()), 0, [None, none], children=[na.c_array([], na.int32())]
    )
    pairs = na.struct({"key": na.int32(nullable=False), "value": na.list_(na.int32())}, nullable=False)
    entries = na.c_array_from_buffers(pairs, 0, [None], children=[na.c_array([], na.int32()), lists])
    return na.c_array_from_buffers(type, 0, [None, none], children=[entries])
