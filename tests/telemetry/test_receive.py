"""Bodies from the wire: compressed in every way, cut off anywhere, random, and larger than they look."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import time
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from telemetry.log.port import Compression, Content, Encoding, Signal
from telemetry.wire import attribute_json, json_form
from telemetry.wire.receive import MAX_MEMBERS, receive, unpacked
from telemetry.wire.refusals import Malformed, Refused, TooLarge
from tests.telemetry.decoded_rows import TABLES, received, rows
from tests.telemetry.odd_requests import BODIES, JSON, PROTOBUF, damaged
from tests.telemetry.otlp_json_form import as_json
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan, trace_request

MIB = 1 << 20
TEXT = b"some text that is there " * 20


SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
EVERY_FORM = [(signal, encoding) for signal in SIGNALS for encoding in BODIES]


def raw_deflate(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


@pytest.mark.parametrize(
    ("compression", "body"),
    [
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("gzip", b"".join(gzip.compress(TEXT[at : at + 50]) for at in range(0, len(TEXT), 50))),
        ("gzip", gzip.compress(TEXT) + gzip.compress(b"")),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
    ],
)
def test_bodies_are_unpacked(compression: Compression, body: bytes) -> None:
    assert unpacked(body, compression, len(TEXT)) == TEXT
    with pytest.raises(TooLarge, match=f"more than {len(TEXT) - 1} bytes"):
        unpacked(body, compression, len(TEXT) - 1)


def test_raw_deflate_that_begins_as_zlib_does() -> None:
    """The first bytes of a stored block may be those of a zlib header."""
    looks_alike = b"\x78" + raw_deflate(TEXT)
    assert unpacked(raw_deflate(TEXT), "deflate", MIB) == TEXT
    with pytest.raises(Malformed):
        unpacked(looks_alike, "deflate", MIB)
    # A stored block of 0x9c bytes, not the last one, whose unused bits are set as in 0x78.
    block = b"\x78\x9c\x00\x63\xff" + bytes(0x9C)
    assert unpacked(block + b"\x01\x00\x00\xff\xff", "deflate", MIB) == bytes(0x9C)


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_what_is_packed_and_cut_off_or_something_else(compression: Compression) -> None:
    packed = gzip.compress(TEXT) if compression == "gzip" else zlib.compress(TEXT)
    for end in range(len(packed)):
        with pytest.raises(Malformed):
            unpacked(packed[:end], compression, MIB)
    for other in (TEXT, packed[1:], packed + b"junk", packed[:30] + b"junk" + packed[34:]):
        with pytest.raises(Malformed):
            unpacked(other, compression, MIB)


def test_a_body_that_is_compressed_as_said_with_nothing_in_it() -> None:
    assert unpacked(gzip.compress(b""), "gzip", MIB) == b""
    assert unpacked(b"", "identity", MIB) == b""
    assert received("traces", b"").accepted == 0


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_bombs_are_left_at_the_limit(compression: Compression) -> None:
    zeros = bytes(100 * MIB)
    bomb = gzip.compress(zeros, 1) if compression == "gzip" else zlib.compress(zeros, 1)
    del zeros
    began = time.process_time()
    with pytest.raises(TooLarge):
        unpacked(bomb, compression, MIB)
    assert time.process_time() - began < 0.3


def test_members_without_end_are_refused_soon() -> None:
    """Each takes a look at what is behind it: a million of them must not copy the body a million times."""
    body = gzip.compress(b"") * MIB
    began = time.process_time()
    with pytest.raises(Malformed, match=f"more than {MAX_MEMBERS} "):
        unpacked(body, "gzip", MIB)
    assert time.process_time() - began < 2
    enough = gzip.compress(b"x") * MAX_MEMBERS
    assert len(unpacked(enough, "gzip", MIB)) == MAX_MEMBERS


_BOMB = """
import gzip, resource
from telemetry.log.port import Content
from telemetry.wire.receive import receive
from telemetry.wire.refusals import TooLarge

def grown_mib():
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024

def field(number, content):
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number * 8 + 2]) + length + bytes([size]) + content

empty = (8 << 20) // 2 - 20
ids = field(1, b"1" * 16) + field(2, b"1" * 8)
shapes = {
    ("traces", "protobuf"): field(1, field(2, b"\\x12\\x00" * empty)),
    ("logs", "protobuf"): b"\\x0a\\x00" * empty,
    ("metrics", "protobuf"): field(1, field(2, field(2, field(5, b"\\x0a\\x00" * (empty // 2)) + field(5, b"\\x0a\\x00" * (empty // 2))))),
    ("traces", "protobuf", "values"): field(1, field(2, field(2, ids + field(9, field(1, b"k") + field(2, field(5, b"\\x0a\\x00" * empty)))))),
    ("traces", "json"): b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * (empty * 2 // 3) + b"{}]}]}]}",
}
receive(Content("traces"), b"", 1)
for (signal, encoding, *_), body in shapes.items():
    packed = gzip.compress(body, 1)
    del body
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        receive(Content(signal, encoding, "gzip"), packed, 8 << 20)
    except TooLarge:
        print(signal, encoding, len(packed) // 1024, grown_mib())
"""


@pytest.mark.slow
def test_requests_of_nothing_but_empty_messages_take_no_memory() -> None:
    """8 MiB of them, which come in some KB, would take gigabytes."""
    shown = subprocess.run([sys.executable, "-c", _BOMB], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in shown.splitlines()]
    assert len(lines) == 5
    for _, _, packed_kib, grown_mib in lines:
        assert int(packed_kib) < 200
        assert int(grown_mib) < 100, shown


@pytest.mark.parametrize(("signal", "encoding"), EVERY_FORM)
def test_a_request_that_is_cut_off_is_malformed_or_has_less_in_it(signal: Signal, encoding: Encoding) -> None:
    whole = received(signal, BODIES[encoding][signal], encoding)
    assert whole.accepted == 2 if signal != "logs" else 1
    body = BODIES[encoding][signal]
    ends = 0
    for end in range(len(body)):
        try:
            found = received(signal, body[:end], encoding)
        except Malformed:
            continue
        ends += 1
        assert encoding == "protobuf"
        assert found.accepted + found.rejected < whole.accepted
    assert ends < 3


@pytest.mark.parametrize(("signal", "encoding"), EVERY_FORM)
def test_a_request_that_was_damaged_is_refused_or_read(signal: Signal, encoding: Encoding) -> None:
    chance = random.Random(f"{signal} {encoding}")
    taken = 0
    for _ in range(1500):
        try:
            found = received(signal, damaged(BODIES[encoding][signal], chance), encoding)
        except Refused as refused:
            assert str(refused)
            continue
        taken += 1
        for table in TABLES:
            rows(found, table)
    assert taken > 20


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.sampled_from(SIGNALS), st.sampled_from(["protobuf", "json"]))
def test_random_bytes_are_refused_or_read(body: bytes, signal: Signal, encoding: Encoding) -> None:
    for compression in ("identity", "gzip", "deflate"):
        try:
            receive(Content(signal, encoding, compression), body, MIB)
        except Refused as refused:
            assert str(refused)


def test_requests_behind_each_other_are_one() -> None:
    """As protobuf has it for lists."""
    other = trace_request([PlainSpan(trace=7, span=8)])
    found = received("traces", PROTOBUF["traces"] + other)
    assert found.accepted == 3
    assert rows(found, "spans")[2] == rows(received("traces", other), "spans")[0]


def test_fields_in_another_order() -> None:
    """Encoders write them by number; none has to."""
    tail, head = b"\x2a\x04work", b"\x39" + BASE_NS.to_bytes(8, "little")
    ids = b"\x12\x08" + bytes(7) + b"\x01" + b"\x0a\x10" + bytes(15) + b"\x01"
    attribute = b"\x4a\x08\x12\x03\x0a\x01v\x0a\x01k"

    def spans(*parts: bytes) -> Any:
        span = b"".join(parts)
        scope = b"\x12" + bytes([len(span)]) + span
        of_resource = b"\x12" + bytes([len(scope)]) + scope
        return received("traces", b"\x0a" + bytes([len(of_resource)]) + of_resource)

    assert spans(tail, attribute, ids, head) == spans(head, ids, attribute, tail)
    [row] = rows(spans(tail, attribute, ids, head), "spans")
    assert row["fragments"] == '"k":"v"'


def test_unknown_fields_are_passed_over() -> None:
    unknown = b"\xfa\x3f\x03abc" + b"\xf8\x3f\x07" + b"\xfd\x3f1234" + b"\xf9\x3f12345678"
    made = TracesData.FromString(PROTOBUF["traces"])
    span = made.resource_spans[0].scope_spans[0].spans[0]
    span.MergeFromString(unknown)
    span.attributes[0].MergeFromString(unknown)
    span.events[0].MergeFromString(unknown)
    made.resource_spans[0].resource.MergeFromString(unknown)
    made.MergeFromString(unknown)
    assert received("traces", made.SerializeToString()) == received("traces", PROTOBUF["traces"])


def test_text_that_is_no_utf_8() -> None:
    for text in (b"\xff\xff\xff\xff", b"\xed\xa0\x80x"):
        for there in (b"work", b"said"):
            signal: Signal = "traces" if there == b"work" else "logs"
            with pytest.raises(Malformed):
                received(signal, PROTOBUF[signal].replace(there, text))
            with pytest.raises(Malformed):
                received(signal, JSON[signal].replace(there, text), "json")
        with pytest.raises(Malformed):
            received("traces", PROTOBUF["traces"].replace(b"gen_", text))
        with pytest.raises(Malformed):
            received("traces", JSON["traces"].replace(b"gen_", text), "json")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b'"x"',
        b"{",
        b"{}{}",
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[5]}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_json_of_another_shape(body: bytes) -> None:
    with pytest.raises(Malformed, match="The body is not the JSON that it should be"):
        received("traces", body, "json")


@pytest.mark.parametrize(
    "body", [b"{}", b' {"resourceSpans": null}\n', b'{"resourceSpans": [{}, {"scopeSpans": [{}]}]}']
)
def test_json_with_nothing_in_it(body: bytes) -> None:
    assert received("traces", body, "json").batches == {}


def test_the_rows_do_not_depend_on_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms remember attributes, resources and sets of keys; here so few that they forget them in between."""
    for module in (attribute_json, json_form):
        monkeypatch.setattr(module, "MAX_KNOWN", 50)
    expected = {form: received(form[0], BODIES[form[1]][form[0]], form[1]) for form in EVERY_FORM}
    for number in range(10):
        keys = {f"key {number} {index}": index for index in range(number * 10)}
        noise = trace_request([PlainSpan(trace=1, span=2, attributes=keys)])
        assert received("traces", noise).accepted == 1
        assert received("traces", as_json(TracesData.FromString(noise)), "json").accepted == 1
        for form in EVERY_FORM:
            assert received(form[0], BODIES[form[1]][form[0]], form[1]) == expected[form]
