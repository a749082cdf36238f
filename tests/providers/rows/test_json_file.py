"""JSON and JSONL files give rows with the text that they have there."""

from __future__ import annotations

import gzip
import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack.errors import Invalid, TooLarge
from stack.providers.rows.json_file import json_rows
from tests.providers.rows.contents import content_of, texts
from tests.providers.rows.test_body import compact
from tests.providers.rows.test_body import json_rows as any_rows


@pytest.mark.slow
@settings(max_examples=50)
@given(any_rows, st.booleans(), st.sampled_from([None, 2]), st.booleans())
def test_any_array_keeps_its_texts(rows: list[Any], ascii: bool, indent: Any, packed: bool) -> None:
    data = json.dumps(rows, ensure_ascii=ascii, indent=indent).encode()
    content = content_of(gzip.compress(data) if packed else data)
    assert texts(json_rows(content, lines=False)) == [compact(row, ascii) for row in rows]


@pytest.mark.slow
@settings(max_examples=50)
@given(any_rows, st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n", " \t\n"]), st.booleans())
def test_any_lines_keep_their_texts(rows: list[Any], ascii: bool, end: str, marked: bool) -> None:
    text = "".join(json.dumps(row, ensure_ascii=ascii) + end for row in rows)
    content = content_of("\ufeff" * marked + text)
    assert texts(json_rows(content, lines=True)) == [compact(row, ascii) for row in rows]


def test_numbers_stay_as_they_are() -> None:
    row = b'{"a":12345678901234567890123,"b":1.10,"c":null,"d":-0.0,"e":1E+2}'
    assert texts(json_rows(content_of(b"[" + row + b"]"), lines=False)) == [row]
    assert texts(json_rows(content_of(row), lines=True)) == [row]


def test_lines_in_a_json_file_and_an_array_in_a_jsonl_file_are_read() -> None:
    assert texts(json_rows(content_of('{"a": 1}\n{"a": 2}'), lines=False)) == [b'{"a":1}', b'{"a":2}']
    assert texts(json_rows(content_of('\ufeff [\n{"a": 1}\n]'), lines=True)) == [b'{"a":1}']


@pytest.mark.parametrize(
    ("text", "how", "problem"),
    [
        ("", "json", "is empty"),
        ('{"rows": [{"a": 1}]}', "json", "one JSON object; rows are an array"),
        ('{\n "a": [1],\n "b": [2]\n}', "json", "one JSON object; rows are an array"),
        ("1", "json", "a single value"),
        ('"a"\n"b"', "json", "a single value"),
        ("[1]", "json", "element 0 is a number"),
        ('[{}, {"a": 1}, []]', "json", "element 2 is a list"),
        ("[{}", "json", "not valid JSON"),
        ("[{}] {}", "json", "not valid JSON"),
        ('[{"a": "\\ud800"}]', "json", "half of a surrogate pair"),
        ("[" * 100_000, "json", "nested too deeply"),
        ('{"a": 1}\n[]', "jsonl", "line 2 is a list"),
        ('{"a": 1}\n\n\n{"a": 1} {"a": 2}', "jsonl", "line 4 is not valid JSON"),
        ('{"a": 1}\n{"a":\n1}', "jsonl", "line 2 is not valid JSON"),
        (b'{"a": 1}\n\n{"a": "\xff"}', "jsonl", "line 3 is not valid UTF-8"),
        (b'[{},{"a": "\xff"}]', "json", "element 1 is not valid UTF-8"),
        ("{}\n" + '{"a":' * 130 + "1" + "}" * 130, "jsonl", "line 2 is nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    text: str | bytes, how: Literal["json", "jsonl"], problem: str
) -> None:
    with pytest.raises(Invalid, match=problem) as refused:
        texts(json_rows(content_of(text), lines=how == "jsonl"))
    assert refused.value.detail.startswith("the file")


def test_a_row_above_its_limit_is_refused() -> None:
    for text in ('{"a":1}\n{"a":"%s"}' % ("x" * 100), '[{"a":1},{"a":"%s"}]' % ("x" * 100)):
        with pytest.raises(TooLarge, match=r"(line 2|element 1) has more than 50 bytes"):
            texts(json_rows(content_of(text, max_row_bytes=50), lines=False))
