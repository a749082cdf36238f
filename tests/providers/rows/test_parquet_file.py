"""Parquet files, written by DuckDB, give their values exactly, or are refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from stack.errors import Invalid, TooLarge
from stack.providers.rows.parquet_file import parquet_rows
from tests.providers.rows.contents import content_of, texts


def written(folder: Path, select: str, options: str = "") -> bytes:
    file = folder / "x.parquet"
    with duckdb.connect() as database:
        database.execute(f"COPY ({select}) TO '{file}' (FORMAT parquet {options})")
    return file.read_bytes()


def one(folder: Path, value: str) -> str:
    """The JSON text of one value."""
    [row] = texts(parquet_rows(content_of(written(folder, f"SELECT {value} AS a"))))
    assert row.startswith(b'{"a":')
    json.loads(row)
    return row[5:-1].decode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("NULL::INT", "null"),
        ("9223372036854775807::BIGINT", "9223372036854775807"),
        ("(-9223372036854775808)::BIGINT", "-9223372036854775808"),
        ("18446744073709551615::UBIGINT", "18446744073709551615"),
        ("(-128)::TINYINT", "-128"),
        ("true", "true"),
        ("1.10::DECIMAL(4,2)", "1.10"),
        (
            "(-12345678901234567890123456789012345.123)::DECIMAL(38,3)",
            "-12345678901234567890123456789012345.123",
        ),
        ("0.1::DOUBLE", "0.1"),
        ("0.1::FLOAT", "0.1"),
        ("1e300::DOUBLE", "1e+300"),
        ("1::DOUBLE", "1.0"),
        ("'nan'::DOUBLE", '"NaN"'),
        ("'inf'::FLOAT", '"Infinity"'),
        ("'-inf'::DOUBLE", '"-Infinity"'),
        ("'a\"b\\c' || chr(10) || chr(1) || '\u00e9\U0001f600'", '"a\\"b\\\\c\\n\\u0001\u00e9\U0001f600"'),
        ("''", '""'),
        ("'{\"a\": 1}'::JSON", '"{\\"a\\": 1}"'),
        ("'\\xAA\\x00'::BLOB", '"qgA="'),
        ("''::BLOB", '""'),
        ("TIMESTAMP '2024-01-02 03:04:05'", '"2024-01-02T03:04:05Z"'),
        ("TIMESTAMP '1969-12-31 23:59:59.000001'", '"1969-12-31T23:59:59.000001Z"'),
        ("TIMESTAMP_NS '2024-01-02 03:04:05.123456789'", '"2024-01-02T03:04:05.123456789Z"'),
        ("TIMESTAMP_MS '2024-01-02 03:04:05.120'", '"2024-01-02T03:04:05.12Z"'),
        ("TIMESTAMPTZ '2024-01-02 03:04:05.5+02:30'", '"2024-01-02T00:34:05.5Z"'),
        ("TIMESTAMP '0044-03-15 (BC) 12:00:00'", '"0044-03-15 (BC) 12:00:00"'),
        ("DATE '2024-02-29'", '"2024-02-29"'),
        ("TIME '12:01:02.000003'", '"12:01:02.000003"'),
        ("'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::UUID", '"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"'),
        ("'x'::ENUM('x', 'y')", '"x"'),
        ("[1, NULL, 3]", "[1,null,3]"),
        ("[]::INT[]", "[]"),
        ("NULL::INT[]", "null"),
        ("[['a'], [], NULL, [NULL, 'b,]']]", '[["a"],[],null,[null,"b,]"]]'),
        ("{'a b': 1, '\"': {'c': NULL::INT, 'd': [0.5::DOUBLE]}}", '{"a b":1,"\\"":{"c":null,"d":[0.5]}}'),
        ("[{'a': 'nan'::DOUBLE, 'b': '\\x01'::BLOB}, NULL]", '[{"a":"NaN","b":"AQ=="},null]'),
        ("MAP {'k': [1], 'l\"': NULL}", '{"k":[1],"l\\"":null}'),
        ("MAP {1: 'x', 2: 'y'}", '{"1":"x","2":"y"}'),
        ("MAP([]::VARCHAR[], []::INT[])", "{}"),
        ("MAP {DATE '2024-01-01': MAP {'a': 1.50}}", '{"2024-01-01":{"a":1.50}}'),
    ],
)
def test_each_type(tmp_path: Path, value: str, text: str) -> None:
    assert one(tmp_path, value) == text


def test_doubles_and_decimals_come_back_as_the_same_numbers(tmp_path: Path) -> None:
    data = written(
        tmp_path,
        "SELECT (random() - 0.5) * pow(10, (random() * 600 - 300)) AS d, "
        "(i * 1234567.891)::DECIMAL(30, 5) AS e FROM range(5000) t(i)",
    )
    with duckdb.connect() as database:
        expected = database.execute(f"FROM '{tmp_path}/x.parquet'").fetchall()
    found = [json.loads(row, parse_float=str) for row in texts(parquet_rows(content_of(data)))]
    assert [(float(row["d"]), Decimal(row["e"])) for row in found] == expected


def test_columns_keep_their_names_and_order_and_rows_theirs(tmp_path: Path) -> None:
    data = written(
        tmp_path,
        'SELECT i AS "it\'s", i + 1 AS "a ""b""", i AS "\u00e9{}" FROM range(300000) t(i)',
        ", ROW_GROUP_SIZE 20000",
    )
    found = texts(parquet_rows(content_of(data)))
    assert len(found) == 300_000
    for index in (0, 19_999, 20_000, 299_999):
        assert json.loads(found[index]) == {"it's": index, 'a "b"': index + 1, "\u00e9{}": index}
    assert list(json.loads(found[0])) == ["it's", 'a "b"', "\u00e9{}"]


def test_a_file_without_rows_and_one_of_many_columns(tmp_path: Path) -> None:
    assert texts(parquet_rows(content_of(written(tmp_path, "SELECT 1 AS a WHERE false")))) == []
    columns = ", ".join(f"i + {index} AS c{index}" for index in range(1000))
    [row, _] = texts(parquet_rows(content_of(written(tmp_path, f"SELECT {columns} FROM range(2) t(i)"))))
    assert json.loads(row) == {f"c{index}": index for index in range(1000)}


def test_a_column_that_comes_twice_gets_a_number(tmp_path: Path) -> None:
    data = written(tmp_path, "SELECT 1 AS first_a, 2 AS other_a").replace(b"other_a", b"First_A")
    assert texts(parquet_rows(content_of(data))) == [b'{"first_a":1,"First_A_1":2}']


@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, damage: str) -> None:
    data = written(tmp_path, "SELECT i, 'text' || i AS t FROM range(10000) t(i)")
    data = {
        "cut": data[:-100],
        "noise": data[:100] + bytes(range(256)) * 20 + data[100 + 5120 :],
        "empty": b"PAR1PAR1",
    }[damage]
    with pytest.raises(Invalid, match="the file cannot be read as Parquet") as refused:
        texts(parquet_rows(content_of(data)))
    assert "/dev/fd" not in refused.value.detail


@pytest.mark.slow
def test_a_row_and_the_memory_have_limits(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="a row has more than 1000 bytes"):
        texts(
            parquet_rows(content_of(written(tmp_path, "SELECT repeat('x', 2000) AS a"), max_row_bytes=1000))
        )
    # One value, packed to almost nothing.
    bomb: Any = content_of(
        written(tmp_path, "SELECT repeat('x', 100000000) AS a FROM range(3)", ", COMPRESSION zstd"),
        memory_bytes=64 * 2**20,
    )
    with pytest.raises(Invalid, match="more memory to read than the 67108864 bytes"):
        texts(parquet_rows(bomb))


@pytest.mark.parametrize(
    ("claimed", "problem"), [(1001, "has 1001 rows, more than 1000"), (2**62, "more than 1000")]
)
def test_more_rows_than_allowed_are_refused_unread(tmp_path: Path, claimed: int, problem: str) -> None:
    data = claiming(written(tmp_path, "FROM range(1000)"), claimed)
    with pytest.raises(Invalid, match=rf"{problem} .*\(setting max_dataset_rows\)"):
        texts(parquet_rows(content_of(data, max_rows=1000)))


def test_rows_that_the_metadata_do_not_count_are_no_more_than_there_are(tmp_path: Path) -> None:
    data = claiming(written(tmp_path, "FROM range(1000)"), 1)
    assert len(texts(parquet_rows(content_of(data)))) == 1000


def claiming(data: bytes, rows: int) -> bytes:
    """A file of 1,000 rows with a head that says that it has `rows`."""
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8].replace(_varint(1000), _varint(rows), 1)
    return data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _varint(number: int) -> bytes:
    """As in Thrift's compact protocol."""
    number <<= 1
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])
