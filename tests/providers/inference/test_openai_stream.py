"""Decoding a stream, whatever the pieces it comes in, and building requests in each dialect; without a server."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from stack.errors import Invalid
from stack.providers.inference.openai_request import encode_request
from stack.providers.inference.openai_stream import AnswerStream
from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    InferenceRequest,
    TextChunk,
    ToolCallChunk,
)
from stack.providers.inference.settings import (
    Flavour,
    InferenceSettings,
    capabilities_of,
    flavour_of,
    shown_url,
)
from tests.providers.inference.contract import raw


def data(value: Any, end: bytes = b"\n\n") -> bytes:
    return b"data: " + msgspec.json.encode(value) + end


def delta(end: bytes = b"\n\n", finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return data({"id": "a1", "model": "m", "choices": [choice]}, end)


STREAM = b"".join(
    [
        b": keep-alive\n\n",
        delta(role="assistant", content=""),
        delta(content="Grüße 🙂", end=b"\r\n\r\n"),
        b"event: message\nid: 4\nretry: 10\n",
        delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
        data({"choices": [{"index": 1, "delta": {"content": "another choice"}}]}),
        delta(finish="stop"),
        data({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        b"data: [DONE]\n\n",
        b"data: what comes after is not read\n\n",
    ]
)


def decoded(*pieces: bytes) -> list[InferenceEvent]:
    stream = AnswerStream("The server")
    events = [event for piece in pieces for event in stream.feed(piece)[1]]
    assert stream.done
    return [*events, *stream.end(), stream.finished()]


def test_a_stream_is_decoded() -> None:
    events = decoded(STREAM)
    assert events[:-1] == [
        TextChunk("Grüße 🙂"),
        ToolCallChunk(0, "c1", "f", '{"a"'),
        ToolCallChunk(0, arguments=":1}"),
    ]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.response_id, finished.response_model) == ("tool_calls", "a1", "m")
    assert (finished.usage.input_tokens, finished.usage.output_tokens) == (3, 4)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_pieces_it_comes_in_do_not_matter(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert decoded(*(STREAM[a:b] for a, b in pairwise(places))) == decoded(STREAM)


def test_what_came_before_a_failure_is_given_out() -> None:
    """In one piece with it: a server that fails writes both at once."""
    stream = AnswerStream("The server")
    chunks, events = stream.feed(delta(content="so far") + b"data: {nope}\n\n" + delta(content="not this"))
    assert (chunks, events) == (1, [TextChunk("so far")])
    assert stream.failure is not None and "malformed" in stream.failure.detail


def body(flavour: Flavour, **more: Any) -> dict[str, Any]:
    request = InferenceRequest(model="m", messages=[Raw(b'{"role":"user","content":"hi"}')], **more)
    encoded: dict[str, Any] = msgspec.json.decode(encode_request(request, flavour))
    return encoded


def test_limits_and_penalties_have_the_names_of_the_dialect() -> None:
    assert body("openai", max_tokens=5)["max_completion_tokens"] == 5
    assert "max_tokens" not in body("openai", max_tokens=5)
    assert body("vllm", max_tokens=5)["max_tokens"] == 5
    assert body("vllm", repetition_penalty=1.2)["repetition_penalty"] == 1.2
    assert body("llama.cpp", repetition_penalty=1.2)["repeat_penalty"] == 1.2
    assert set(body("generic")) == {"model", "messages", "stream", "stream_options"}


def test_a_server_that_refuses_stream_options_is_not_asked_for_usage() -> None:
    request = InferenceRequest(model="m", messages=[])
    assert set(msgspec.json.decode(encode_request(request, "generic", usage=False))) == {
        "model", "messages", "stream",
    }  # fmt: skip


def test_a_named_tool_is_said_in_the_dialect() -> None:
    tools = [raw({"type": "function", "function": {"name": name}}) for name in ("a", "b")]
    named = {"type": "function", "function": {"name": "b"}}
    assert body("vllm", tools=tools, tool_choice="b")["tool_choice"] == named
    narrowed = body("llama.cpp", tools=tools, tool_choice="b")
    assert narrowed["tool_choice"] == "required"
    assert narrowed["tools"] == [named]
    assert "tool_choice" not in body("vllm", tool_choice="none")
    with pytest.raises(Invalid, match="no tool 'c'"):
        body("vllm", tools=tools, tool_choice="c")


def test_a_grammar_is_said_in_the_dialect() -> None:
    grammar = raw({"type": "grammar", "bnf": {"grammar": 'root ::= "x"'}})
    assert body("llama.cpp", response_format=grammar)["grammar"] == 'root ::= "x"'
    assert body("vllm", response_format=grammar)["structured_outputs"] == {"grammar": 'root ::= "x"'}
    with pytest.raises(Invalid, match="bnf"):
        body("vllm", response_format=raw({"type": "grammar", "bnf": {}}))


@pytest.mark.parametrize(
    ("id", "base_url", "flavour"),
    [
        ("a", "https://api.openai.com/v1", "openai"),
        ("a", "https://eu.api.openai.com/v1", "openai"),
        ("a", "https://openai.com.example.org/v1", "generic"),
        ("vllm", "http://gpu:9000/v1", "vllm"),
        ("a", "http://localhost:11434/v1", "ollama"),
        ("a", "http://gpu:11434/v1", "generic"),
    ],
)
def test_the_flavour_is_told_from_host_id_or_port(id: str, base_url: str, flavour: str) -> None:
    assert flavour_of(InferenceSettings(id=id, base_url=base_url)) == flavour


def test_settings_overrule_the_flavour() -> None:
    settings = InferenceSettings(id="vllm", base_url="http://gpu/v1", grammar=False, images=False)
    capabilities = capabilities_of(settings)
    assert (capabilities.top_k, capabilities.grammar, capabilities.images) == (True, False, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "a/b", "base_url": "http://x/v1"},
        {"id": "a", "base_url": "ftp://x"},
        {"id": "a", "base_url": "http://x", "max_retries": -1},
        {"id": "a", "base_url": "http://x", "stall_timeout_s": 0},
        {"id": "a", "base_url": "http://x", "basurl": ""},
        {"id": "a", "base_url": "http://x", "flavour": "mistral"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, InferenceSettings)


def test_a_shown_url_has_no_secrets() -> None:
    assert shown_url("https://me:pw@host:8443/v1?key=secret#x") == "https://host:8443/v1"
    assert shown_url("http://[::1]:8000/v1") == "http://[::1]:8000/v1"
