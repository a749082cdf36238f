"""Long strings leave and come back, and no data acts as a marker."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.eventstore import blob_markers
from stack.eventstore.blob_markers import (
    dehydrate,
    digests_in,
    hydrate,
    hydrated_bytes,
    may_need_markers,
)

LONG = 64
text = st.text(
    alphabet=st.one_of(st.sampled_from('$blob"\\:{},\n\x00é😀'), st.characters(exclude_categories=["Cs"]))
)
keys = st.one_of(st.sampled_from(["$blob", "$$blob", '"$blob', "\\$$blob", "bytes", "$blob\\"]), text)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), text, st.text('xé\\"', min_size=30, max_size=90)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=20,
)


class Blobs(dict[str, bytes]):
    def store(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self[digest] = content
        return digest


@pytest.fixture(autouse=True, scope="module")
def short_strings_are_long() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blob_markers, "LONG_STRING_BYTES", LONG)
        yield


@pytest.mark.slow
@given(values)
def test_what_goes_in_comes_out(value: Any) -> None:
    blobs = Blobs()
    before = msgspec.json.encode({"event": value})
    stored = dehydrate(before, blobs.store) if may_need_markers(before) else before
    assert hydrate(stored, blobs.__getitem__) == before
    assert sorted(set(digests_in(stored))) == sorted(blobs)
    assert all(len(content) > LONG for content in blobs.values())


@pytest.mark.slow
@given(values)
def test_no_long_string_stays(value: Any) -> None:
    stored = msgspec.json.decode(dehydrate(msgspec.json.encode([value]), Blobs().store))
    assert not [string for string in _strings(stored) if len(string.encode()) > LONG]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [string for item in inner for string in _strings(item)]


@pytest.mark.parametrize("key", [b'"\\u0024blob"', b'"$\\u0062lob"', b'"\\u0024$blob"'])
def test_a_reserved_key_spelt_with_escapes_is_escaped_too(key: bytes) -> None:
    before = b'{"a":{%s:"%s","bytes":1}}' % (key, b"0" * 64)
    assert may_need_markers(before)
    stored = dehydrate(before, Blobs().store)
    assert b'{"$blob"' not in msgspec.json.encode(msgspec.json.decode(stored))
    assert msgspec.json.decode(hydrate(stored, Blobs().__getitem__)) == msgspec.json.decode(before)


def test_everything_else_is_copied_byte_by_byte() -> None:
    blobs = Blobs()
    before = b'{ "n" : 1.0000000000000000001e2, "big": 123456789012345678901234567890, "s" : "%s"}' % (
        b"x" * 65
    )
    stored = dehydrate(before, blobs.store)
    assert stored == before.replace(
        b'"%s"' % (b"x" * 65), b'{"$blob":"%s","bytes":65}' % next(iter(blobs)).encode()
    )
    assert hydrate(stored, blobs.__getitem__) == before


def test_a_part_of_a_state_can_be_hydrated() -> None:
    blobs = Blobs()
    digest = blobs.store(b"x" * 65)
    marker = b'{"$blob":"%s","bytes":65}' % digest.encode()
    assert hydrate(marker, blobs.__getitem__) == b'"%s"' % (b"x" * 65)
    assert hydrate(b'[{"$$blob":1}]', blobs.__getitem__) == b'[{"$blob":1}]'
    assert hydrate(b'["$blob","$$blob"]', blobs.__getitem__) == b'["$blob","$$blob"]'


def test_a_state_counts_with_its_strings_in_place() -> None:
    blobs = Blobs()
    before = b'{"a":"%s","b":["%s"],"c":1}' % (b"x" * 1000, b"y" * 2000)
    stored = dehydrate(before, blobs.store)
    assert len(stored) < 400
    assert len(before) <= hydrated_bytes(stored) <= len(before) + len(stored)
    assert hydrated_bytes(b'{"c":1}') == 7


def test_what_a_long_string_says_of_blobs_is_left_as_it_is() -> None:
    blobs = Blobs()
    said = '{"$blob":"' + "0" * 64 + '","bytes":1} "$$blob": {"$$blob": 1}' + "x" * 100
    before = msgspec.json.encode({"$blob": said, "$$blob": {"$blob": [said]}})
    stored = dehydrate(before, blobs.store)
    assert len(blobs) == 1
    assert hydrate(stored, blobs.__getitem__) == before
