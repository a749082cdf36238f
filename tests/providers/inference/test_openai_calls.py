"""How model servers send the calls of tools, each way as the bytes of an answer, and the calls that were meant."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.inference.wire import (
    PARIS,
    ROME,
    TWO,
    T,
    W,
    called,
    chunk,
    head,
    piece,
    read,
    stream,
)

CALLS: dict[str, tuple[bytes, list[tuple[str, str, str]]]] = {
    "one after the other": (
        called([head(0, "a")], [piece('{"city":', index=0)], [piece('"Paris"}', index=0)], [head(1, "b", T)],
               [piece(ROME, index=1)]), TWO),
    "interleaved by index": (
        called([head(0, "a")], [head(1, "b", T)], [piece('{"city":', index=0)], [piece('{"city":', index=1)],
               [piece('"Paris"}', index=0)], [piece('"Rome"}', index=1)]), TWO),
    "interleaved within one delta": (
        called([head(0, "a"), head(1, "b", T)], [piece('{"city":', index=1), piece('{"city":', index=0)],
               [piece('"Paris"}', index=0), piece('"Rome"}', index=1)]), TWO),
    "the second is whole before the first": (
        called([head(0, "a")], [head(1, "b", T, ROME)], [piece(PARIS, index=0)]), TWO),
    "index always 0, whole": (called([head(0, "a", W, PARIS)], [head(0, "b", T, ROME)]), TWO),
    "index always 0, in pieces": (
        called([head(0, "a")], [piece('{"city":', index=0)], [piece('"Paris"}', index=0)], [head(0, "b", T)],
               [piece('{"city":', index=0)], [piece('"Rome"}', index=0)]), TWO),
    "index always 0, interleaved by id": (
        called([head(0, "a")], [head(0, "b", T)], [piece('{"city":', index=0, id="a")],
               [piece('{"city":', index=0, id="b")], [piece('"Paris"}', index=0, id="a")],
               [piece('"Rome"}', index=0, id="b")]), TWO),
    "index always 0, without ids": (called([head(0, name=W, arguments=PARIS)], [head(0, name=T, arguments=ROME)]),
                                    [("", W, PARIS), ("", T, ROME)]),
    "index always 0, without ids, the same tool": (
        called([head(0, arguments=PARIS)], [head(0, arguments=ROME)]), [("", W, PARIS), ("", W, ROME)]),
    "index always 0, without ids or arguments": (called([head(0, name=W)], [head(0, name=T)]), [("", W, ""), ("", T, "")]),
    "index null": (called([head(None, "a", W, PARIS)], [head(None, "b", T, ROME)]), TWO),
    "index missing, whole in one delta": (called([head(..., "a", W, PARIS), head(..., "b", T, ROME)]), TWO),
    "index missing, no ids, whole in one delta": (
        called([head(name=W, arguments=PARIS), head(name=T, arguments=ROME)]), [("", W, PARIS), ("", T, ROME)]),
    "index missing, no ids, twice the same call": (
        called([head(arguments=PARIS), head(arguments=PARIS)]), [("", W, PARIS), ("", W, PARIS)]),
    "index missing, in pieces": (
        called([head(..., "a")], [piece('{"city":')], [piece('"Paris"}')], [head(..., "b", T)], [piece(ROME)]), TWO),
    "index missing, interleaved by id": (
        called([head(..., "a")], [head(..., "b", T)], [piece('{"city":', id="a")], [piece(ROME, id="b")],
               [piece('"Paris"}', id="a")]), TWO),
    "index missing, interleaved by order": (
        called([head(..., "a"), head(..., "b", T)], [piece('{"city":'), piece('{"city":')],
               [piece('"Paris"}'), piece('"Rome"}')]), TWO),
    "index missing, heads together and arguments in turn": (
        called([head(..., "a"), head(..., "b", T)], [piece('{"city":')], [piece('"Paris"}')], [piece(ROME)]), TWO),
    "index missing at first only": (called([head(..., "a")], [piece(PARIS, index=0)], [head(..., "b", T)],
                                           [piece(ROME, index=1)]), TWO),
    "index as float, as text": (called([head(0.0, "a", W, PARIS)], [head("1", "b", T)], [piece(ROME, index=1)]), TWO),
    "index from 1": (called([head(1, "a", W, PARIS)], [head(2, "b", T, ROME)]), TWO),
    "index one by one": (called([head(0, "a")], [piece('{"city":', index=1)], [piece('"Paris"}', index=2)],
                                [head(3, "b", T)], [piece(ROME, index=4)]), TWO),
    "negative index": (called([head(-1, "a", W, PARIS)], [head(-1, "b", T, ROME)]), TWO),
    "name after the id": (
        called([piece("", index=0, id="a", name=None)], [head(0, ...)], [piece(PARIS, index=0)],
               [piece(index=1, id="b")], [head(1, name=T)], [piece(ROME, index=1)]), TWO),
    "name after the id, index always 0": (
        called([piece(index=0, id="a")], [head(0)], [piece(PARIS, index=0)], [piece(index=0, id="b")],
               [head(0, name=T)], [piece(ROME, index=0)]), TWO),
    "name after the arguments": (called([piece(PARIS, index=0, id="a")], [head(0)], [piece(ROME, index=1, id="b")],
                                        [head(1, name=T)]), TWO),
    "name in each piece": (
        called([head(0, "a")], [head(0, "a", W, '{"city":')], [head(0, "a", W, '"Paris"}')], [head(1, "b", T, ROME)]), TWO),
    "name in each piece, without id or index": (
        called([head()], [head(arguments='{"city":')], [head(arguments='"Paris"}')]), [("", W, PARIS)]),
    "name in pieces": (
        called([head(0, "a", "get_")], [head(0, name="weather")], [piece(PARIS, index=0)], [head(1, "b", T, ROME)]), TWO),
    "name in pieces, without index": (
        called([head(..., "a", "get_")], [head(name="weather")], [piece(PARIS)], [head(..., "b", T, ROME)]), TWO),
    "name that grows": (called([head(0, "a", "get_")], [head(0, name=W, arguments=PARIS)], [head(1, "b", T, ROME)]), TWO),
    "names that are empty later": (called([head(0, "a")], [head(0, "", "", PARIS)], [head(1, "b", T, ROME)]), TWO),
    "arguments as an object": (called([head(0, "a", W, {"city": "Paris"})], [head(1, "b", T, {"city": "Rome"})]), TWO),
    "arguments as an object, index always 0, no ids": (
        called([head(0, name=W, arguments={"city": "Paris"})], [head(0, arguments={"city": "Rome"})]),
        [("", W, PARIS), ("", W, ROME)]),
    "arguments as objects that grow": (
        called([head(0, "a", W, {})], [head(0, "a", W, {"city": "Par"})], [head(0, "a", W, {"city": "Paris"})],
               [head(1, "b", T, {"city": "Rome"})]), TWO),
    "arguments as text that grows": (
        called([head(0, "a", W, '{"ci')], [piece('{"city":"Pa', index=0)], [piece(PARIS, index=0)],
               [piece(PARIS, index=0)], [head(1, "b", T, ROME)]), TWO),
    "an empty object before the arguments": (
        called([head(0, "a", W, "{}")], [piece('{"city":', index=0)], [piece('"Paris"}', index=0)],
               [head(1, "b", T, {})], [piece(ROME, index=1)]), TWO),
    "arguments null, empty, absent": (
        called([head(0, "a", W, None)], [head(1, "b", T, "")], [piece(index=2, id="c", name="search")],
               [head(3, "d", W, {})], [head(4, "e", W, "{}")], [head(5, "f", W, [])], [head(6, "g", W, "null")]),
        [("a", W, ""), ("b", T, ""), ("c", "search", ""), ("d", W, ""), ("e", W, ""), ("f", W, ""), ("g", W, "")]),
    "a call without arguments, then one with": (
        called([head(0, "a", W)], [head(1, "b", T)], [piece(ROME, index=1)]), [("a", W, ""), ("b", T, ROME)]),
    "the same, without index": (
        called([head(..., "a", W)], [head(..., "b", T)], [piece(ROME)]), [("a", W, ""), ("b", T, ROME)]),
    "the same id for two calls": (
        called([head(0, "x", W, PARIS)], [head(1, "x", T, ROME)]), [("x", W, PARIS), ("x", T, ROME)]),
    "the same id for two calls of one tool, index always 0": (
        called([head(0, "x", W, PARIS)], [head(0, "x", W, ROME)]), [("x", W, PARIS), ("x", W, ROME)]),
    "the same id for two calls in one delta": (
        called([head(..., "x", W, PARIS), head(..., "x", T, ROME)]), [("x", W, PARIS), ("x", T, ROME)]),
    "a call that is sent again": (called([head(0, "a", W, PARIS)], [head(0, "a", W, PARIS)], [head(1, "b", T, ROME)]), TWO),
    "the id in each piece": (
        called([head(0, "a")], [piece('{"city":', index=0, id="a")], [piece('"Paris"}', index=0, id="a")],
               [head(1, "b", T, ROME)]), TWO),
    "a new id in each piece": (
        called([head(0, "a")], [piece('{"city":', index=0, id="a1")], [piece('"Paris"}', index=0, id="a2")])
        .replace(b'"id": "a1", ', b""), [("a", W, PARIS)]),
    "the id comes late": (called([head(0)], [piece(PARIS, index=0, id="a")], [head(1, "b", T, ROME)]), TWO),
    "empty ids": (called([head(0, "", W, PARIS)], [head(1, None, T, ROME)]), [("", W, PARIS), ("", T, ROME)]),
    "numeric ids": (called([head(0, 7, W, PARIS)], [head(1, 8.0, T)], [piece(ROME, index=1, id=8)]),
                    [("7", W, PARIS), ("8", T, ROME)]),
    "no function around it": (called([{"index": 0, "id": "a", "name": W, "arguments": PARIS}]), TWO[:1]),
    "parameters for arguments": (called([{"id": "a", "function": {"name": W, "parameters": {"city": "Paris"}}}]), TWO[:1]),
    "a call instead of a list": (stream(chunk({"tool_calls": head(0, "a", W, PARIS)}, "tool_calls")), TWO[:1]),
    "the older function_call": (
        stream(chunk({"function_call": {"name": W, "arguments": ""}}), chunk({"function_call": {"arguments": '{"city":'}}),
               chunk({"function_call": {"arguments": '"Paris"}'}}), chunk({}, "function_call")), [("", W, PARIS)]),
    "padding": (called([], None, [{}], [None], [{"index": 0}], [head(0, "a", W, PARIS)]), TWO[:1]),
    "calls in a whole message": (
        stream({"choices": [{"message": {"content": None, "tool_calls": [head(..., "a", W, PARIS), head(..., "b", T, ROME)]},
                             "finish_reason": "tool_calls"}]}), TWO),
    "calls in deltas, and again in a whole message": (
        stream(chunk({"tool_calls": [head(0, "a", W, PARIS)]}), chunk({"tool_calls": [head(1, "b", T, ROME)]}),
               {"choices": [{"message": {"tool_calls": [head(..., "a", W, PARIS), head(..., "b", T, ROME)]},
                             "finish_reason": "tool_calls"}]}), TWO),
    "finish reason stop": (called([head(0, "a", W, PARIS)], finish="stop"), TWO[:1]),
    "no finish reason": (stream(chunk({"tool_calls": [head(0, "a", W, PARIS)]})), TWO[:1]),
    "braces and quotes in the arguments": (
        called([head(0, "a", W, '{"city":"}{\\')], [piece('"', index=0)], [piece('\\\\"}', index=0)], [head(0, "b", T, ROME)]),
        [("a", W, '{"city":"}{\\"\\\\"}'), TWO[1]]),
    "nested arguments like the outer ones": (
        called([head(0, "a", W, '{"a":')], [piece('{"a":1}}', index=0)]), [("a", W, '{"a":{"a":1}}')]),
}  # fmt: skip


@pytest.mark.parametrize("variant", CALLS)
def test_calls(variant: str) -> None:
    sent, expected = CALLS[variant]
    for pieces in ([sent], [sent[at : at + 1] for at in range(len(sent))]):
        got = read(*pieces)
        assert [(id if wanted[0] else "", name, text) for (id, name, text), wanted in zip(got.calls, expected, strict=True)] == expected  # fmt: skip
        assert got.finished.reason == "tool_calls" and all(id for id, _, _ in got.calls)


@settings(max_examples=200)
@given(
    st.sampled_from([sent for sent, _ in CALLS.values()]),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_the_places_of_the_cuts_do_not_matter(sent: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    whole, cut = read(sent), read(*(sent[a:b] for a, b in pairwise(places)))
    assert (cut.text, cut.finished) == (whole.text, whole.finished)
    assert [call[1:] for call in cut.calls] == [call[1:] for call in whole.calls]
