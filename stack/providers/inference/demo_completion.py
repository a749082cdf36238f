"""The demo's responses in OpenAI's format, for requests that are passed through: it acts as its own model
server."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from schemas.events.payload import TurnUsage
from stack.errors import Invalid
from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    InferenceRequest,
    RelayedAnswer,
    RelayedRequest,
    TextChunk,
    ToolCallChunk,
)

Infer = Callable[[InferenceRequest], AsyncGenerator[InferenceEvent]]


class _Function(Struct):
    name: str


class _NamedTool(Struct):
    function: _Function


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Request(Struct):
    """The fields of a chat completion that the demo uses; it ignores the others, as in a turn."""

    messages: Annotated[list[Raw], Meta(min_length=1)]
    tools: list[Raw] | None = None
    tool_choice: Literal["auto", "none", "required"] | _NamedTool | None = None
    response_format: Raw | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=0)] | None = None
    stop: str | list[str] | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


CHAT_PATH = "/chat/completions"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Request).decode


@asynccontextmanager
async def completed(
    infer: Infer, request: RelayedRequest, response_model: str
) -> AsyncGenerator[RelayedAnswer]:
    """Responds to a chat completion. Raises Invalid for a body that is not a valid request, and for other
    operations."""
    if request.path != CHAT_PATH:
        raise Invalid(
            f"model: {response_model.partition(' ')[0]} only completes chats. Name a model of a model server."
        )
    try:
        asked = _decode(request.body)
    except msgspec.ValidationError as error:
        raise Invalid(f"{error}.") from None
    digest = hashlib.sha256(request.body).hexdigest()[:24]
    head = {"id": f"chatcmpl-{digest}", "created": int(time.time()), "model": response_model}
    async with aclosing(infer(_inference(request.model, asked))) as events:
        # Invalid requests are refused here, before a status has been sent.
        await anext(events)
        if asked.stream:
            with_usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
            kind, pieces = "text/event-stream; charset=utf-8", _chunks(head, events, with_usage)
        else:
            kind, pieces = "application/json", _one(await _whole(head, events))
        yield RelayedAnswer(
            status=200, headers={"content-type": kind}, pieces=pieces, streamed=bool(asked.stream)
        )


def _inference(model: str, asked: _Request) -> InferenceRequest:
    choice = asked.tool_choice
    return InferenceRequest(
        model=model,
        messages=asked.messages,
        tools=asked.tools or [],
        tool_choice=choice.function.name if isinstance(choice, _NamedTool) else choice,
        response_format=asked.response_format,
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
        stop=[asked.stop] if isinstance(asked.stop, str) else asked.stop or [],
    )


async def _one(body: bytes) -> AsyncGenerator[bytes]:
    yield body


async def _chunks(
    head: dict[str, Any], events: AsyncGenerator[InferenceEvent], with_usage: bool
) -> AsyncGenerator[bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        return event([{"index": 0, "delta": delta, "finish_reason": reason}])

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: %b\n\n" % _encode(
            {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        )

    yield chunk({"role": "assistant", "content": ""})
    async for one in events:
        match one:
            case TextChunk(text=text):
                yield chunk({"content": text})
            case ToolCallChunk(call_id="", index=index, arguments=arguments):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
            case ToolCallChunk(index=index):
                yield chunk({"tool_calls": [{"index": index, **_call(one, one.arguments)}]})
            case Finished():
                yield chunk({}, one.reason)
                if with_usage:
                    yield event([], usage=_usage(one.usage))
    yield b"data: [DONE]\n\n"


async def _whole(head: dict[str, Any], events: AsyncGenerator[InferenceEvent]) -> bytes:
    """Returns the whole response. The demo makes at most one call."""
    *pieces, finished = [event async for event in events]
    assert isinstance(finished, Finished)
    calls = [piece for piece in pieces if isinstance(piece, ToolCallChunk)]
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if calls:
        message["tool_calls"] = [_call(calls[0], "".join(piece.arguments for piece in calls))]
    else:
        message["content"] = "".join(piece.text for piece in pieces if isinstance(piece, TextChunk))
    choice = {"index": 0, "message": message, "finish_reason": finished.reason}
    return _encode(
        {**head, "object": "chat.completion", "choices": [choice], "usage": _usage(finished.usage)}
    )


def _call(chunk: ToolCallChunk, arguments: str) -> dict[str, Any]:
    return {"id": chunk.call_id, "type": "function", "function": {"name": chunk.name, "arguments": arguments}}


def _usage(usage: TurnUsage) -> dict[str, int]:
    sent, received = usage.input_tokens or 0, usage.output_tokens or 0
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
