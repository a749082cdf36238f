"""The demo's answers in the OpenAI form, for requests that are passed through: it is its own model server."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
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
    """What the demo understands of a chat completion; it passes over the rest, as it does in a turn."""

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


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Request).decode


@asynccontextmanager
async def completed(
    infer: Infer, request: RelayedRequest, response_model: str
) -> AsyncGenerator[RelayedAnswer]:
    """The answer to a chat completion. Raises Invalid for what is none."""
    try:
        asked = _decode(request.body)
    except msgspec.ValidationError as error:
        raise Invalid(f"{error}.") from None
    answer = _Answer(hashlib.sha256(request.body).hexdigest()[:24], response_model)
    async with aclosing(infer(_inference(request.model, asked))) as events:
        # What cannot be answered is refused here, while there is no status yet.
        first = await anext(events)
        if asked.stream:
            with_usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
            headers = {"content-type": "text/event-stream; charset=utf-8"}
            pieces = answer.chunks(events, with_usage)
            yield RelayedAnswer(status=200, headers=headers, pieces=pieces, streamed=True)
        else:
            body = await answer.whole(first, events)
            headers = {"content-type": "application/json"}
            yield RelayedAnswer(status=200, headers=headers, pieces=_one(body))


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


class _Answer:
    """One answer, whole or in chunks."""

    def __init__(self, digest: str, model: str) -> None:
        self._head = {"id": f"chatcmpl-{digest}", "created": int(time.time()), "model": model}

    async def chunks(self, events: AsyncGenerator[InferenceEvent], with_usage: bool) -> AsyncGenerator[bytes]:
        yield self._chunk({"role": "assistant", "content": ""})
        async for event in events:
            match event:
                case TextChunk(text=text):
                    yield self._chunk({"content": text})
                case ToolCallChunk():
                    yield self._chunk({"tool_calls": [_call_piece(event)]})
                case Finished():
                    yield self._chunk({}, event.reason)
                    if with_usage:
                        yield _event(self._of("chat.completion.chunk", [], usage=_usage(event.usage)))
        yield b"data: [DONE]\n\n"

    async def whole(self, first: InferenceEvent, events: AsyncGenerator[InferenceEvent]) -> bytes:
        text: list[str] = []
        calls: dict[int, dict[str, Any]] = {}
        finished = first
        async for event in events:
            match event:
                case TextChunk():
                    text.append(event.text)
                case ToolCallChunk(index=index):
                    call = calls.setdefault(index, _call_piece(event) | {"function": {"arguments": ""}})
                    call["function"]["name"] = call["function"].get("name") or event.name
                    call["function"]["arguments"] += event.arguments
                case _:
                    finished = event
        assert isinstance(finished, Finished)
        message: dict[str, Any] = {"role": "assistant", "content": None if calls else "".join(text)}
        if calls:
            message["tool_calls"] = [
                {key: value for key, value in call.items() if key != "index"} for call in calls.values()
            ]
        choice = {"index": 0, "message": message, "finish_reason": finished.reason}
        return _encode(self._of("chat.completion", [choice], usage=_usage(finished.usage)))

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _event(self._of("chat.completion.chunk", [choice]))

    def _of(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {**self._head, "object": kind, "choices": choices, **more}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"


def _call_piece(chunk: ToolCallChunk) -> dict[str, Any]:
    if not chunk.call_id:
        return {"index": chunk.index, "function": {"arguments": chunk.arguments}}
    function = {"name": chunk.name, "arguments": chunk.arguments}
    return {"index": chunk.index, "id": chunk.call_id, "type": "function", "function": function}


def _usage(usage: TurnUsage) -> dict[str, int]:
    sent, received = usage.input_tokens or 0, usage.output_tokens or 0
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
