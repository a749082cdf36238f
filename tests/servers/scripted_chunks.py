"""The bytes that the scripted server sends, encoded once: at 20 chunks a call it must cost next to nothing."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

WORDS = ("The", " answer", " comes", " in", " small", " pieces", " of", " text,", " one", " by", " one.")


def head(status: int, content_type: str, *, length: int | None = None, extra: Iterable[str] = ()) -> bytes:
    """The head of an answer; without `length` the body is chunked."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [
        f"HTTP/1.1 {status} {http.client.responses.get(status, 'Scripted')}",
        f"content-type: {content_type}",
        size,
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def framed(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def sse(data: bytes) -> bytes:
    return framed(b"data: " + data + b"\n\n")


DONE = sse(b"[DONE]")


def _chunk(choice: dict[str, Any] | None, **more: Any) -> bytes:
    choices = [] if choice is None else [{"index": 0, "finish_reason": None, **choice}]
    return msgspec.json.encode(
        {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0, "model": "scripted"}
        | {"choices": choices, **more}
    )


def text_chunk(text: str) -> bytes:
    """One event of the stream with a piece of text, not yet framed."""
    return b"data: " + _chunk({"delta": {"content": text}}) + b"\n\n"


@lru_cache(64)
def _text_chunks(count: int) -> tuple[bytes, ...]:
    return tuple(framed(text_chunk(WORDS[number % len(WORDS)])) for number in range(count))


def text_chunks(count: int) -> list[bytes]:
    return list(_text_chunks(count))


@lru_cache(8)
def finish_chunk(reason: str) -> bytes:
    return sse(_chunk({"delta": {}, "finish_reason": reason}))


@lru_cache(64)
def usage_chunk(completion: int) -> bytes:
    usage = {"prompt_tokens": 7, "completion_tokens": completion, "total_tokens": 7 + completion}
    return sse(_chunk(None, usage=usage))


def tool_chunks(tool: dict[str, Any], pieces: int, settings: Mapping[str, str], usage: bool) -> list[bytes]:
    """A call of `tool` in fragments: the name first, then its arguments in about `pieces` parts. Arguments are
    the setting `arguments` (JSON) or one value per property of the tool's schema. `calls` repeats the call."""
    function = tool["function"]
    arguments = settings.get("arguments", _arguments(function.get("parameters") or {}))
    size = max(1, -(-len(arguments) // pieces))
    sent = []
    for index in range(int(settings.get("calls", 1))):
        first = {"index": index, "id": f"call_{index}", "type": "function"}
        opening = first | {"function": {"name": settings.get("name") or function["name"], "arguments": ""}}
        sent.append(sse(_chunk({"delta": {"tool_calls": [opening]}})))
        for start in range(0, len(arguments), size):
            part = {"index": index, "function": {"arguments": arguments[start : start + size]}}
            sent.append(sse(_chunk({"delta": {"tool_calls": [part]}})))
    return [*sent, finish_chunk("tool_calls"), *([usage_chunk(pieces)] if usage else []), DONE]


def _arguments(schema: Mapping[str, Any]) -> str:
    values = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
    properties = schema.get("properties") or {}
    return msgspec.json.encode(
        {k: values.get(v.get("type"), "scripted") for k, v in properties.items()}
    ).decode()


def answer_json(request: dict[str, Any], chunks: int) -> dict[str, Any]:
    """The whole answer at once, for a request that does not stream."""
    text = "".join(WORDS[number % len(WORDS)] for number in range(chunks))
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": chunks, "total_tokens": 7 + chunks},
    }


def error_body(message: str, kind: str) -> dict[str, Any]:
    """An error as OpenAI words it, in an answer's body or inside a stream."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
