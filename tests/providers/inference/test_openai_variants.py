"""Real responses of model servers: each variant as the bytes of an answer, and its expected result.

The bytes are decoded in one piece, byte by byte, and cut at every place that hypothesis thinks of.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.payload import TurnUsage
from stack.errors import ReplaystackError, TooManyRequests, Unavailable, UpstreamFailed
from tests.providers.inference.wire import DONE, PARIS, W, called, chunk, data, head, piece, read, stream

HELLO = (chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop"))
WHOLE = {
    "id": "c", "object": "chat.completion", "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
}  # fmt: skip


def text(content: bytes) -> bytes:
    """A chunk with this JSON as its content."""
    return b'data: {"choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]}\n\n' % content


def choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [fields]}


TEXTS: dict[str, bytes] = {
    "as OpenAI does": stream(*HELLO),
    "CRLF": stream(*HELLO).replace(b"\n", b"\r\n"),
    "CR": stream(*HELLO).replace(b"\n", b"\r"),
    "mixed line ends": data(HELLO[0], "\r\n\r\n") + b": ping\r\r" + data(HELLO[1], "\n\r\n") + data(HELLO[2], "\r\n\n") + DONE,
    "a byte order mark": b"\xef\xbb\xbf" + stream(*HELLO),
    "no space after data:": stream(*HELLO).replace(b"data: ", b"data:"),
    "more space": stream(*HELLO).replace(b"data: ", b" data :   "),
    "comments, names, ids, retry": b": hi\n\n:\n\nretry: 10\nid: 1\nevent: message\n" + stream(*HELLO) + b"id\n\n",
    "data alone": b"data\n\ndata:\n\ndata: \n\n" + stream(*HELLO),
    "several data lines": b'data: {"choices":\ndata: [{"delta":{"content":"Hello"},\ndata\ndata: "finish_reason":"stop"}]}\n\n' + DONE,
    "pretty printed": b"".join(b"data: " + line + b"\n" for line in json.dumps(chunk({"content": "Hello"}, "stop"), indent=1).encode().split(b"\n")) + b"\n" + DONE,
    "no blank lines": stream(*HELLO).replace(b"\n\n", b"\n"),
    "no end of the last line": stream(*HELLO).removesuffix(b"\n\n"),
    "no [DONE]": stream(*HELLO, done=False),
    "neither [DONE] nor a last line's end": stream(*HELLO, done=False).removesuffix(b"\n\n"),
    "[DONE] and no reason": stream(*HELLO[:2]),
    "[DONE] in quotes": stream(*HELLO[:2], b'data: "[DONE]"\n\n', done=False),
    "[done]": stream(*HELLO[:2], b"data:[done]\r\n\r\n", done=False),
    "unknown fields": b"foo: bar\n\n" + stream(HELLO[0], b"ping\n\n", *HELLO[1:]),
    "pings as data": stream(b"data: null\n\n", b"data: {}\n\n", HELLO[0], {"type": "ping"}, b"data: 1\n\n", *HELLO[1:]),
    "one JSON a line": b"".join(json.dumps(one).encode() + b"\n" for one in HELLO),
    "a list of chunks": b"data: " + json.dumps(HELLO).encode() + b"\n\n" + DONE,
    "a whole completion": json.dumps(WHOLE).encode(),
    "a whole completion, pretty printed": json.dumps(WHOLE, indent=2).encode() + b"\r\n",
    "a whole completion in a list": json.dumps([WHOLE]).encode(),
    "a whole completion without a reason": json.dumps({**WHOLE, "choices": [{"message": {"content": "Hello"}}]}).encode(),
    "a whole completion as an event": stream(WHOLE),
    "message for delta": stream(choice(message={"content": "Hel"}), choice(message={"content": "lo"}, finish_reason="stop")),
    "delta null next to a message": stream(choice(delta=None, message={"content": "Hello"}, finish_reason="stop")),
    "delta empty next to a message": stream(choice(delta={}, message={"content": "Hello"}, finish_reason="stop")),
    "the whole message after its deltas": stream(*HELLO[:2], choice(message={"content": "Hello"}, finish_reason="stop")),
    "the whole message trimmed": stream(chunk({"content": "Hello"}), choice(message={"content": " Hello "}, finish_reason="stop")),
    "more in the message than in its deltas": stream(HELLO[0], choice(message={"content": "Hello"}, finish_reason="stop")),
    "text of completions": stream(choice(text="Hello", finish_reason="stop")),
    "choices as an object": stream({"choices": {"delta": {"content": "Hello"}, "finish_reason": "stop"}}),
    "index null": stream(choice(index=None, delta={"content": "Hello"}, finish_reason="stop")),
    "index missing": stream(choice(delta={"content": "Hello"}, finish_reason="stop")),
    "index a float, text": stream(choice(index=0.0, delta={"content": "Hel"}), choice(index="0", delta={"content": "lo"}, finish_reason="stop")),
    "index from 1": stream(choice(index=1, delta={"content": "Hel"}), choice(index=1, delta={"content": "lo"}, finish_reason="stop")),
    "another choice": stream(HELLO[0], choice(index=1, delta={"content": "no"}, finish_reason="length"), *HELLO[1:]),
    "odd choices": stream({"choices": None}, {"choices": "x"}, {"choices": [None, 7, "x"]}, {"choices": [{"delta": "x"}]}, *HELLO),
    "ids and models of other types": stream({**HELLO[0], "id": 7, "model": None, "created": 1.5, "object": 3}, *HELLO[1:]),
    "content in parts": stream(chunk({"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}, "stop")),
    "content in odd parts": stream(chunk({"content": ["Hel", None, 7.5, {"type": "image_url"}, {"type": "output_text", "text": {"value": "lo"}}]}, "stop")).replace(b"7.5, ", b""),
    "content an object": stream(chunk({"content": {"type": "text", "text": "Hello"}}, "stop")),
    "refusal": stream(chunk({"content": None, "refusal": "Hello"}, "stop")),
    "nulls everywhere": stream(chunk({"role": None, "content": None, "tool_calls": None, "function_call": None, "refusal": None}, ""), *HELLO),
    "logprobs that are no JSON": stream(HELLO[0], b'data: {"choices":[{"delta":{"content":"lo"},"logprobs":{"a":[-Infinity,NaN,1e999]},"finish_reason":"stop"}]}\n\n'),
    "control characters": text(b'"Hel') .replace(b"Hel", b'Hel"') + stream(*HELLO[1:]),
    "empty finish reasons": stream(chunk({"content": "Hel"}, ""), chunk({"content": "lo"}, False), chunk({}, "stop")),
    "a reason with each chunk": stream(chunk({"content": "Hel"}, "stop"), chunk({"content": "lo"}, "stop")),
    "a reason and the last text together": stream(HELLO[0], chunk({"content": "lo"}, "stop"), done=False),
    "an error that is none": stream({**HELLO[0], "error": None}, {**HELLO[1], "error": {"code": 0, "message": ""}}, {**HELLO[2], "error": ""}),
    "a success code": stream(*HELLO[:2], {**HELLO[2], "base_resp": {"status_code": 0, "status_msg": "success"}}, {"base_resp": {"status_code": 0, "status_msg": "success"}, "choices": None}),
    "a remark on the way": stream(HELLO[0], {"type": "status", "message": "Still at it"}, *HELLO[1:]),
    "garbage after the reason": stream(*HELLO, b'data: {"choi', done=False),
}  # fmt: skip


@pytest.mark.parametrize("variant", TEXTS)
def test_texts(variant: str) -> None:
    sent = TEXTS[variant]
    for pieces in ([sent], [sent[at : at + 1] for at in range(len(sent))]):
        got = read(*pieces)
        assert (got.text, got.calls, got.finished.reason) == ("Hello", [], "stop")


@settings(max_examples=200)
@given(
    st.sampled_from(list(TEXTS.values())),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_the_places_of_the_cuts_do_not_matter(sent: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    whole, cut = read(sent), read(*(sent[a:b] for a, b in pairwise(places)))
    assert (cut.text, cut.finished) == (whole.text, whole.finished)
    assert [call[1:] for call in cut.calls] == [call[1:] for call in whole.calls]


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([rb'"Hi \ud83d"', rb'"\ude00!"'], "Hi \U0001f600!"),
        ([rb'"\ud83d"', b'""', b"null", rb'"\ude00"'], "\U0001f600"),
        ([rb'"\ud83d\ude00"'], "\U0001f600"),
        ([rb'"a\ud83d"', rb'"b"'], "a\ufffdb"),
        ([rb'"a\ude00b"'], "a\ufffdb"),
        ([rb'"a\ud83d"'], "a\ufffd"),
        ([rb'"\ud83d"', rb'"\ud83d"', rb'"\ude00"'], "\ufffd\U0001f600"),
        ([b'"Gr\xc3"', b'"\xbc\xc3\x9fe"'], "Grüße"),
        ([b'"\xf0\x9f"', b'"\x98"', b'"\x80!"'], "\U0001f600!"),
        ([b'"a\xffb"'], "a\ufffdb"),
        ([b'"a\xf0\x9f"', b'"b"'], "a\ufffdb"),
        ([b'"a\xf0\x9f"'], "a\ufffd"),
        ([b'"a\tb\x01"'], "a\tb\x01"),
        ([b"4", b"2.5"], "42.5"),
    ],
)  # fmt: skip
def test_characters_that_are_cut(contents: list[bytes], expected: str) -> None:
    sent = stream(*map(text, contents), chunk({}, "stop"))
    assert read(sent).text == read(*(sent[at : at + 1] for at in range(len(sent)))).text == expected
    assert expected.encode()


def test_characters_that_are_cut_in_arguments_names_and_reasoning() -> None:
    pieces = rb'{"index":0,"id":"a\ud83d","function":{"name":"get_weather","arguments":%s}}'
    sent = [b'data: {"choices":[{"delta":{"reasoning":%s,"tool_calls":[%s]}}]}\n\n' % (said, pieces % arguments)
            for said, arguments in ((rb'"\ud83d"', rb'"{\"city\":\"\ud83d"'), (rb'"\ude00"', rb'"\ude00\"}"'))]  # fmt: skip
    got = read(stream(*sent, chunk({}, "tool_calls")))
    assert got.calls == [("a\ufffd", W, '{"city":"\U0001f600"}')] and got.reasoning == "\U0001f600"
    got = read(called([head(0, "a", W, {"city": "x"})]).replace(b'"x"', rb'"\ud83d"'))
    assert got.calls == [("a", W, '{"city":"\ufffd"}')]


USAGES: dict[str, tuple[list[Any], TurnUsage]] = {
    "nothing": ([], TurnUsage()),
    "null": ([None, None], TurnUsage()),
    "as OpenAI does": ([None, {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "prompt_tokens_details": None}], TurnUsage(12, 5)),
    "a part": ([{"completion_tokens": 5}], TurnUsage(None, 5)),
    "nulls in it": ([{"prompt_tokens": None, "completion_tokens": 5}], TurnUsage(None, 5)),
    "in two parts": ([{"prompt_tokens": 12}, {"completion_tokens": 5}], TurnUsage(12, 5)),
    "said and then null": ([{"prompt_tokens": 12, "completion_tokens": 5}, None, {}], TurnUsage(12, 5)),
    "said and then zero": ([{"prompt_tokens": 12, "completion_tokens": 5}, {"prompt_tokens": 0, "completion_tokens": 0}], TurnUsage(12, 5)),
    "cumulative": ([{"prompt_tokens": 12, "completion_tokens": n} for n in range(6)], TurnUsage(12, 5)),
    "zero": ([{"prompt_tokens": 12, "completion_tokens": 0}], TurnUsage(12, 0)),
    "floats and text": ([{"prompt_tokens": 12.0, "completion_tokens": "5"}], TurnUsage(12, 5)),
    "nonsense": ([{"prompt_tokens": -1, "completion_tokens": 5.5}, {"prompt_tokens": True, "completion_tokens": [5]}, "x", 7, []], TurnUsage()),
    "too many": ([{"prompt_tokens": 2**60, "completion_tokens": 1e300}], TurnUsage()),
    "other names": ([{"input_tokens": 12, "output_tokens": 5}], TurnUsage(12, 5)),
    "from a cache": ([{"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}}], TurnUsage(12, 5, 8)),
    "from no cache": ([{"prompt_tokens": 12, "completion_tokens": 5, "input_tokens_details": {"cached_tokens": 0}}], TurnUsage(12, 5, 0)),
    "cached as DeepSeek says": ([{"prompt_tokens": 12, "completion_tokens": 5, "prompt_cache_hit_tokens": 8}], TurnUsage(12, 5, 8)),
    "nonsense about a cache": ([{"prompt_tokens": 12, "prompt_tokens_details": {"cached_tokens": "many"}}, {"prompt_tokens_details": [8]}], TurnUsage(12)),
    "names of Ollama": ([{"prompt_eval_count": 12, "eval_count": 5}], TurnUsage(12, 5)),
}  # fmt: skip


@pytest.mark.parametrize("variant", USAGES)
def test_usage(variant: str) -> None:
    said, expected = USAGES[variant]
    said_with = [{**chunk({"content": "a"}), "usage": one} for one in said]
    for sent in (stream(*said_with, chunk({}, "stop")),
                 stream(chunk({"content": "a"}, "stop"), *({"choices": [], "usage": one} for one in said))):  # fmt: skip
        assert read(sent).finished.usage == expected


def test_usage_in_other_places() -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 5}
    for sent in (
        {**chunk({}, "stop"), "x_groq": {"usage": usage}},
        choice(delta={}, finish_reason="stop", usage=usage),
        {**chunk({}, "stop"), "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 5}},
        {**chunk({}, "stop"), "prompt_eval_count": 12, "eval_count": 5},
    ):
        assert read(stream(sent)).finished.usage == TurnUsage(12, 5)


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [(reason, "stop") for reason in ("stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", " COMPLETE ")]
    + [(reason, "length") for reason in ("length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "context_length_exceeded")]
    + [(reason, None) for reason in ("content_filter", "error", "abort", "insufficient_system_resource", "unknown", "SAFETY", "refusal", "cancelled", "load", "other", "network_error", 7, True, ["stop"], {"type": "stop"})],
)  # fmt: skip
def test_finish_reasons(reason: Any, meaning: str | None) -> None:
    for sent in (stream(chunk({"content": "Half an ans"}), chunk({}, reason)),
                 stream(chunk({"content": "Half an ans"}, reason), chunk({}, None)),
                 json.dumps({**WHOLE, "choices": [{"message": {"content": "Half an ans"}, "finish_reason": reason}]}).encode()):  # fmt: skip
        if meaning is None:
            with pytest.raises(UpstreamFailed, match="finish reason"):
                read(sent)
        else:
            assert (read(sent).finished.reason, read(sent).text) == (meaning, "Half an ans")


def test_a_limit_or_a_failure_is_not_taken_back() -> None:
    assert read(stream(chunk({"content": "a"}, "length"), chunk({}, "stop"))).finished.reason == "length"
    with pytest.raises(UpstreamFailed, match="'error'"):
        read(stream(chunk({"content": "a"}, "error"), chunk({}, "stop")))


@pytest.mark.parametrize("sent", [called([head(0, "a", W, '{"city":"Par')], finish="length"), called([piece('{"ci', index=0, id="a")], finish="max_tokens")])  # fmt: skip
def test_calls_that_a_limit_cut_off(sent: bytes) -> None:
    assert read(sent).finished.reason == "length"


FAILURES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "something else than an event stream"),
    "only comments": (b": ping\n\n" * 3, "something else than an event stream"),
    "only [DONE]": (DONE, "something else than an event stream"),
    "the connection closes": (stream(*HELLO[:2], done=False), "cut off"),
    "it closes within a line": (stream(*HELLO[:2], b'data: {"choices', done=False), "malformed"),
    "[DONE] and nothing said": (stream(chunk({"role": "assistant", "content": ""})), "cut off"),
    "[DONE] after an error in passing": (stream(HELLO[0], {"detail": "Worker died"}), "Worker died"),
    "calls that are none": (stream(chunk({"content": ""}, "tool_calls")), "names none"),
    "a call without a name": (called([piece(PARIS, index=0, id="a")]), "has no name"),
    "an error": (stream({"error": {"message": "out of memory", "code": 500}}), "out of memory"),
    "an error in words": (stream(HELLO[0], {"error": "boom"}), "boom"),
    "an error without `error`": (stream({"object": "error", "message": "Too long", "code": 40303}), "Too long"),
    "an error by its code": (stream({"code": 500, "msg": "no GPU"}), "no GPU"),
    "an error by its type": (stream(b'event: error\ndata: {"type":"error","message":"overloaded"}\n\n'), "overloaded"),
    "an error by its event": (stream(HELLO[0], b'event: error\ndata: {"text":"overloaded"}\n\n'), "overloaded"),
    "an error event in words": (stream(HELLO[0], b"event: error\ndata: all is lost\n\n"), "all is lost"),
    "an error of a choice": (stream(choice(delta={}, error={"message": "upstream died", "code": 502}, finish_reason="error")), "upstream died"),
    "a list of errors": (b'{"errors":[{"message":"no such model","code":5007}],"success":false}', "no such model"),
    "an error in a list": (b'[{"error":{"code":400,"message":"bad key"}}]', "bad key"),
    "an error as JSON": (b'{"error":{"message":"No credits left","code":402}}', "No credits left"),
    "an error as JSON, pretty printed": (b'{\n  "error": {\n    "message": "No credits left"\n  }\n}\n', "No credits left"),
    "an error as JSON after text": (stream(HELLO[0], b'{"error": "No credits left"}\n', done=False), "No credits left"),
    "a detail": (b'{"detail":"Not authorised"}', "Not authorised"),
    "details": (b'{"detail":[{"loc":["body","x"],"msg":"field required"}]}', "field required"),
    "two texts": (b'{"error":"Bad Request","message":"model is loading"}', "Bad Request: model is loading"),
    "status of MiniMax": (b'{"base_resp":{"status_code":1004,"status_msg":"login fail"},"choices":null}', "login fail"),
    "words": (b"upstream connect error\nor disconnect", "upstream connect error or disconnect"),
    "words after text": (stream(HELLO[0], b"Internal Server Error\n", done=False), "Internal Server Error"),
    "a web page": (b"<!doctype html><html><head><title>502 Bad &amp; Gateway</title><style>x{}</style></head><body><h1>No\nluck</h1></body></html>", "502 Bad & Gateway No luck"),
    "data in words": (b"data: the model crashed\n\n", "the model crashed"),
    "data in a string": (b'data: "the model crashed"\n\n', "the model crashed"),
    "not JSON": (b"data: {nope}\n\n", "malformed"),
    "a list of numbers": (b"data: [1]\n\n", "malformed"),
    "too deep": (b"data: " + b"[" * 100_000 + b"\n\n", "malformed"),
    "too many calls": (called([head(n, f"c{n}", W, PARIS) for n in range(200)]), "more than 128 tool calls"),
    "another thing altogether": (b'{"hello":"world"}', "cut off"),
}  # fmt: skip


@pytest.mark.parametrize("variant", FAILURES)
def test_failures(variant: str) -> None:
    sent, detail = FAILURES[variant]
    for pieces in ([sent], [sent[at : at + 1] for at in range(min(len(sent), 20_000))] + [sent[20_000:]]):
        with pytest.raises(UpstreamFailed) as failure:
            read(*pieces)
        assert detail in failure.value.detail
        assert len(failure.value.detail) < 1_200
        assert ("base_url" in failure.value.detail) is (variant == "a web page")


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b'{"error":{"message":"Slow down","code":429}}', TooManyRequests),
        (stream({"error": {"message": "Slow down", "code": "429"}}), TooManyRequests),
        (b'{"status":503,"detail":"Slow down"}', Unavailable),
        (stream(HELLO[0], {"error": {"message": "Slow down", "code": 429}}), UpstreamFailed),
    ],
)
def test_an_error_with_a_status_of_its_own(sent: bytes, kind: type[ReplaystackError]) -> None:
    with pytest.raises(kind) as failure:
        read(sent)
    assert type(failure.value) is kind and "Slow down" in failure.value.detail


REASONINGS: dict[str, list[Any]] = {
    "reasoning_content": [{"reasoning_content": "let me "}, {"content": None, "reasoning_content": "think"}],
    "reasoning": [{"reasoning": "let me "}, {"reasoning": "think"}],
    "both": [{"reasoning": "let me ", "reasoning_content": "let me "}, {"reasoning": "think", "reasoning_content": "think"}],
    "parts": [{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "let me "}]}]}, {"content": [{"type": "reasoning", "text": "think"}]}],
    "an object": [{"reasoning": {"text": "let me "}}, {"reasoning": {"content": "think"}}],
}  # fmt: skip


@pytest.mark.parametrize("variant", REASONINGS)
def test_reasoning(variant: str) -> None:
    got = read(stream(*map(chunk, REASONINGS[variant]), chunk({"content": "4"}), chunk({}, "stop")))
    assert (got.text, got.reasoning) == ("4", "let me think")


def test_an_answer_is_bounded() -> None:
    with pytest.raises(UpstreamFailed, match="longer than 8 MiB"):
        read(*[b"data: " + b"x" * 65536] * 200)
    with pytest.raises(UpstreamFailed, match="longer than 32 MiB"):
        read(*[b": " + b"x" * 65536 + b"\n\n"] * 600)
    with pytest.raises(UpstreamFailed, match="longer than 32 MiB"):
        read(b"data: {\n", *[b"data: " + b" " * 65536 + b"1,\n"] * 600)


@pytest.mark.slow
def test_large_arguments_take_their_time_in_proportion() -> None:
    """Each piece ends in a brace: nothing may look at all pieces before it."""
    pieces = ['{"rows":[', *['{"a":"b"},'[:9], ","] * 20_000]
    sent = called([head(0, "a")], *([piece(one, index=0)] for one in pieces), [piece('{"a":1}]}', index=0)])
    [(_, _, arguments)] = read(sent).calls
    assert len(json.loads(arguments)["rows"]) == 20_001
