"""Rows are taken out of request bodies with every digit; what is around them is left to be decoded strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack.errors import Invalid, TooLarge
from stack.providers.rows.body import take
from stack.providers.rows.settings import ReadLimits
from tests.providers.rows.contents import texts

LIMITS = ReadLimits()

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=12,
)
json_rows = st.lists(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values, max_size=4), max_size=8
)


def compact(row: Any, ascii: bool = False) -> bytes:
    return json.dumps(row, ensure_ascii=ascii, separators=(",", ":")).encode()


def taken(
    body: bytes, path: tuple[str, ...] = ("rows",), limits: ReadLimits = LIMITS
) -> tuple[bytes, list[bytes]]:
    found = take(body, path, limits)
    return found.envelope, texts(found.blocks)


@pytest.mark.slow
@settings(max_examples=50)
@given(json_rows, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_any_rows_keep_their_text(rows: list[Any], ascii: bool, indent: Any) -> None:
    body = json.dumps({"a": 1, "source": {"rows": rows, "type": "rows"}}, ensure_ascii=ascii, indent=indent)
    envelope, found = taken(body.encode(), ("source", "rows"))
    assert found == [compact(row, ascii) for row in rows]
    assert json.loads(envelope) == {"a": 1, "source": {"rows": [], "type": "rows"}}


def test_numbers_keys_and_escapes_stay_as_they_are() -> None:
    row = (
        b'{"z":18446744073709551616,"i":-9223372036854775808,"d":1.10,"e":1E5,"big":1e999,"n":null,"a":-0,'
        b'"t":"\\u00e9\\ud83d\\ude00\\/","a":2,"":[]}'
    )
    assert taken(b'{"rows":[ ' + row.replace(b",", b" ,\n ") + b" ]}")[1] == [row]


def test_rows_of_all_sizes_are_whole_in_blocks() -> None:
    rows = [b'{"a":"%b"}' % (b"x" * (size % 3000)) for size in range(0, 3_000_000, 997)]
    rows.insert(5, b'{"a":"%b"}' % (b"y" * 3_000_000))
    found = take(b'{"rows":[%b]}' % b",".join(rows), ("rows",), LIMITS)
    blocks = list(found.blocks)
    assert texts(blocks) == rows
    assert len(blocks) < 10


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"1",
        b'{"row":[{}]}',
        b'{"rows":{}}',
        b'{"rows":null}',
        b'{"rows":"[]"}',
        b'{"source":{"rows":[]}}',
    ],
)
def test_a_body_without_rows_there_comes_back_as_it_is(body: bytes) -> None:
    assert taken(body) == (body, [])


def test_of_a_key_that_comes_twice_the_last_counts_as_everywhere() -> None:
    assert taken(b'{"rows":[1],"rows":[{}]}') == (b'{"rows":[]}', [b"{}"])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"[]", r"rows\[17\] is a list; a row is a JSON object"),
        (b"1", r"rows\[17\] is a number"),
        (b"-1", r"rows\[17\] is a number"),
        (b'"a"', r"rows\[17\] is a string"),
        (b"null", r"rows\[17\] is null"),
        (b"true", r"rows\[17\] is true"),
        (b"false", r"rows\[17\] is false"),
        (b'{"a":"\xff"}', r"rows\[17\] is not valid UTF-8 at its byte 6"),
        (b'{"\xc3":1}', r"rows\[17\] is not valid UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', r"rows\[17\] is not valid UTF-8"),
        (b'{"a":%b}' % (b"[" * 128 + b"]" * 128), r"rows\[17\] is nested too deeply; at most 128 levels"),
        (b'{"a":%b%b%b}' % (b'[{"b":' * 64, b"[]", b"}]" * 64), r"rows\[17\] is nested too deeply"),
    ],
)
@pytest.mark.parametrize("before", [b'{"c":"\xc3\xa9"}', b'{"c":"%b"}' % (b"x" * 200_000)])
def test_what_is_no_row_is_named(row: bytes, problem: str, before: bytes) -> None:
    with pytest.raises(Invalid, match=problem):
        taken(b'{"rows":[%b,%b]}' % (b",".join([before] * 17), row))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not valid JSON"),
        (b'{"rows":[{}', "not valid JSON"),
        (b'{"rows":[{}]} x', "not valid JSON"),
        (b'{"rows":[{"a":01}]}', "not valid JSON"),
        (b'{"rows":[{"a":NaN}]}', "not valid JSON"),
        (b'{"rows":[{"a":"\\ud800"}]}', "half of a surrogate pair"),
        (b'{"rows":[{"a":"\\udc00\\ud800"}]}', "half of a surrogate pair"),
        (b'{"rows":[{"a":"\\ud800x' + b"y" * 50 + b'"}]}', "half of a surrogate pair"),
        (b'{"rows":[{}],"b":"\xff"}', "UTF-8 outside of rows"),
        (b'{"b":"\xff"}', "UTF-8 at byte 6"),
        (b'{"\xff":"b"}', "UTF-8"),
        (b'{"rows":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
    ],
)
def test_a_body_that_is_no_json_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        taken(body)


def test_the_deepest_row_is_kept_and_brackets_in_strings_do_not_count() -> None:
    deep = b'{"a":%b%b}' % (b"[" * 127, b"]" * 127)
    flat = b'{"a":"%b","b":[%b]}' % (b'[{\\"' * 500, b",".join([b"[]"] * 500))
    assert taken(b'{"rows":[%b,%b]}' % (deep, flat))[1] == [deep, flat]


def test_limits_are_named() -> None:
    with pytest.raises(TooLarge, match=r"rows has 3 rows; at most 2 .*max_dataset_rows"):
        taken(b'{"rows":[{},{},{}]}', limits=ReadLimits(max_rows=2))
    with pytest.raises(TooLarge, match=r"rows\[1\] has more than 20 bytes"):
        taken(b'{"rows":[{},{"a":"xxxxxxxxxxxxxxx"},{}]}', limits=ReadLimits(max_row_bytes=20))
