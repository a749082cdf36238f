"""The short way to read an attribute is taken only where it says what protobuf says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from telemetry.wire.attribute_json import Attributes, _any, _simple, text_json
from telemetry.wire.refusals import Malformed
from tests.telemetry.otlp_requests import any_value, key_values
from tests.telemetry.otlp_strategies import any_values, text


def in_full(encoded: bytes) -> tuple[bytes, bytes] | None:
    try:
        return _any(encoded)
    except Malformed:
        return None


def in_short(encoded: bytes) -> tuple[bytes, bytes] | None:
    try:
        return _simple(encoded)
    except Malformed:
        return None


@pytest.mark.slow
@settings(max_examples=200)
@given(st.builds(KeyValue, key=text, value=any_values), st.data())
def test_damaged_attributes_are_read_as_protobuf_reads_them(attribute: KeyValue, data: st.DataObject) -> None:
    encoded = bytearray(attribute.SerializeToString())
    assert in_short(bytes(encoded)) in (None, in_full(bytes(encoded)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(encoded)))
        encoded[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    assert in_short(bytes(encoded)) in (None, in_full(bytes(encoded)))


@pytest.mark.parametrize(
    "value", ["", "x" * 100, 0, 127, 128, 2**62, 2**63 - 1, True, False, "ü😀", "\0\x1e"], ids=repr
)
def test_usual_attributes_take_the_short_way(value: object) -> None:
    [attribute] = key_values({"key": value})
    encoded = attribute.SerializeToString()
    assert _simple(encoded) == _any(encoded) is not None


@pytest.mark.parametrize("value", [-1, -(2**63), 1.5, None, [], {}, b"x", "x" * 200], ids=repr)
def test_others_do_not(value: object) -> None:
    [attribute] = key_values({"key": value})
    assert _simple(attribute.SerializeToString()) is None


@pytest.mark.parametrize("size", [0x80, 0x81])
def test_a_length_of_several_bytes_is_not_taken_for_one_of_a_byte(size: int) -> None:
    """The value's length reads 80 0a, 1280 bytes, of which 127 are there."""
    encoded = b"\x0a\x01k\x12" + bytes([size]) + b"\x0a" + bytes([size - 2]) + bytes(size - 2)
    assert in_full(encoded) is None
    with pytest.raises(Malformed):
        Attributes()[encoded]


def test_fragments_hold_no_separator() -> None:
    [attribute] = key_values({"a\x1eb": "c\x1ed"})
    [(key, fragment)] = Attributes().fragments([attribute.SerializeToString()]).items()
    assert (key, fragment) == (b'"a\\u001eb"', b'"a\\u001eb":"c\\u001ed"')
    assert json.loads(b"{" + fragment + b"}") == {"a\x1eb": "c\x1ed"}


def test_text_that_is_no_utf_8() -> None:
    for utf8 in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
        with pytest.raises(Malformed):
            text_json(utf8)


def test_values_of_later_versions_are_null() -> None:
    assert any_value(None).SerializeToString() == b""
    encoded = KeyValue(key="k").SerializeToString() + b"\x12\x02\x40\x05"
    assert Attributes()[encoded] == (b'"k"', b'"k":null')
