"""CSV files give what they hold, typed only where that loses nothing, or say which line is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.errors import Invalid, TooLarge
from stack.providers.rows import csv_file
from stack.providers.rows.csv_file import csv_rows
from tests.providers.rows.contents import content_of, texts, values

cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    [
        "",
        '"',
        '""',
        ",",
        ";",
        "a\nb",
        "\r\n",
        "\r",
        "007",
        "12",
        "-3",
        "1.5",
        "true",
        "null",
        "NaN",
        " 1",
        "é",
    ]
)
tables = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=0, max_size=8)
)


def rows_of(text: str | bytes, separator: str | None = None) -> list[object]:
    return values(csv_rows(content_of(text), separator))


@pytest.mark.slow
@given(tables, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_a_csv_writer_writes_comes_back(
    table: list[list[str]], separator: str, end: str, marked: bool
) -> None:
    out = io.StringIO(newline="")
    names = [f"name {index}" for index in range(len(table[0]) if table else 2)]
    writer = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator=end)
    writer.writerows([names, *table])
    found = texts(csv_rows(content_of("\ufeff" * marked + out.getvalue()), separator))
    # Whatever type a column got, its text is what was written.
    rows = [json.loads(row, parse_int=str, parse_float=str) for row in found]
    plain = {True: "true", False: "false"}
    assert [
        [plain.get(cell, cell) if cell is not None else None for cell in row.values()] for row in rows
    ] == table
    assert all(list(row) == names for row in rows)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "-20", "9223372036854775807", ""], [1, -20, 2**63 - 1, None]),
        (["1", "9223372036854775808"], ["1", "9223372036854775808"]),
        (["007", "1"], ["007", "1"]),
        (["-0", "1"], ["-0", "1"]),
        (["+1"], ["+1"]),
        ([" 1"], [" 1"]),
        (["1_000"], ["1_000"]),
        (["\u0661"], ["\u0661"]),
        (["1.5", "-2.25", "1e-07", "3", "1e+16", ""], [1.5, -2.25, 1e-07, 3, 1e16, None]),
        (["1.10", "1.5"], ["1.10", "1.5"]),
        (["1e5"], ["1e5"]),
        ([".5"], [".5"]),
        (["5."], ["5."]),
        (["NaN"], ["NaN"]),
        (["nan", "1.5"], ["nan", "1.5"]),
        (["inf"], ["inf"]),
        (["0.1000000000000000055511151231257827"], ["0.1000000000000000055511151231257827"]),
        (["true", "", "false"], [True, None, False]),
        (["True", "False"], ["True", "False"]),
        (["true", "1"], ["true", "1"]),
        (["1", "x"], ["1", "x"]),
        (["1", '""'], ["1", ""]),
        (["", ""], [None, None]),
        (["null"], ["null"]),
        (["2024-01-02"], ["2024-01-02"]),
        (["9" * 5000], ["9" * 5000]),
    ],
)
@pytest.mark.parametrize("many", [1, 100])
def test_a_column_has_a_type_only_if_all_its_texts_survive(
    cells: list[str], expected: list[object], many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last cells come in batches of their own.
    monkeypatch.setattr(csv_file, "_BATCH_CELLS", 4)
    lines = "".join(f"x,{cell}\n" for cell in cells[:1] * many + cells)
    found = rows_of("other,cell\n" + lines)
    assert [row["cell"] for row in found[many:]] == expected  # type: ignore[index]
    assert found[0]["cell"] == expected[0]  # type: ignore[index]


def test_numbers_keep_their_text() -> None:
    found = texts(csv_rows(content_of("a,b\n1.0,-0.0\n2.5,1e-07\n7,3\n")))
    assert found == [b'{"a":1.0,"b":-0.0}', b'{"a":2.5,"b":1e-07}', b'{"a":7,"b":3}']


def test_an_empty_cell_is_null_and_a_quoted_one_is_empty() -> None:
    text = 'a,b,c\n,"",x\n"",,\n"a,"""",b","",\n"""",x,""\n'
    assert rows_of(text) == [
        {"a": None, "b": "", "c": "x"},
        {"a": "", "b": None, "c": None},
        {"a": 'a,"",b', "b": "", "c": None},
        {"a": '"', "b": "x", "c": ""},
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separator_line_ends_and_mark_are_told(separator: str, end: str, mark: str) -> None:
    other = ";" if separator == "," else ","
    lines = [["a", "b b", "c"], [f"1{other}5", f"x{other}y", "z"], ["2", f'"q{end}{separator}"', "w"]]
    found = rows_of(mark + end.join(separator.join(line) for line in lines) + end)
    assert found == [
        {"a": f"1{other}5", "b b": f"x{other}y", "c": "z"},
        {"a": "2", "b b": f"q{end}{separator}", "c": "w"},
    ]


def test_a_first_line_may_say_the_separator() -> None:
    assert rows_of("sep=^\na^b\n1^2,3;4\n") == [{"a": 1, "b": "2,3;4"}]


def test_one_column_and_no_rows_and_no_last_line_end() -> None:
    assert rows_of("text\nHello you\n\n\nBye") == [{"text": "Hello you"}, {"text": "Bye"}]
    assert rows_of("a,b\n") == rows_of("a,b") == []


def test_names_are_made_where_there_are_none_and_kept_otherwise() -> None:
    assert rows_of(', a ,"b ""c"""\n1,2,3\n') == [{"column_1": 1, " a ": 2, 'b "c"': 3}]


def test_lines_within_quotes_and_gzip() -> None:
    text = 'a,b\n"one\r\ntwo\n\nthree",2\n'
    assert rows_of(gzip.compress(text.encode())) == [{"a": "one\r\ntwo\n\nthree", "b": 2}]


def test_ten_thousand_columns() -> None:
    names = ",".join(f"c{index}" for index in range(10_000))
    lines = "\n".join(",".join(str(row * index) for index in range(10_000)) for row in range(20))
    found = rows_of(f"{names}\n{lines}\n")
    assert len(found) == 20
    assert found[7] == {f"c{index}": 7 * index for index in range(10_000)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n1,2\n3\n", "line 3: it has 1 cells, the first line names 2 columns"),
        ('a,b\n"1\n\n",2\n3,4,5\n', "line 5: it has 3 cells"),
        ("a,b\n1,2\n\n\n3,4,\n", "line 5: it has 3 cells"),
        ('a,b\n1,2\n"3,4\n5,6\n', "line 3: a quote that opens there is never closed"),
        ('a,b\n"1"x,2\n', "line 2: "),
        ("a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'"),
        ("a,,column_2\n1,2,3\n", "columns 2 and 3 are both named 'column_2'"),
        (b"a,b\n1,2\n\xe9,4\n", "line 3 is not valid UTF-8"),
        (b"\xe9,b\n1,2\n", "line 1 is not valid UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str | bytes, problem: str) -> None:
    with pytest.raises(Invalid, match=problem) as refused:
        rows_of(text)
    assert refused.value.detail.startswith("the file")


def test_an_error_far_behind_comes_after_the_rows_before_it() -> None:
    text = "a,b\n" + "x,1\n" * 100_000 + "x\n"
    with pytest.raises(Invalid, match="line 100002: it has 1 cells"):
        rows_of(text)


def test_limits() -> None:
    with pytest.raises(TooLarge, match="line 3 has more than 50 characters"):
        texts(csv_rows(content_of("a,b\n1,2\n" + "x" * 60 + ",2\n", max_row_bytes=50)))
    # Many short lines within one quote.
    with pytest.raises((TooLarge, Invalid), match=r"50 (characters|bytes)"):
        texts(csv_rows(content_of('a,b\n"' + "x\n" * 60 + '",2\n', max_row_bytes=50)))
    with pytest.raises(TooLarge, match="a row has more than 50 bytes"):
        texts(csv_rows(content_of(f"{'n' * 40},b\n1,{'x' * 20}\n", max_row_bytes=50)))


@pytest.mark.slow
def test_large_content_is_read_twice_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a,b,c\n" + "".join(f"{index},{index}.5,\n" for index in range(60_000)) + "x,1,2\n"
    kept = texts(csv_rows(content_of(text)))
    monkeypatch.setattr(csv_file, "_KEPT_BYTES", 100_000)
    assert texts(csv_rows(content_of(text))) == kept
    assert kept[-2:] == [b'{"a":"59999","b":59999.5,"c":null}', b'{"a":"x","b":1,"c":2}']
