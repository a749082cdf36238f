"""An OpenAI chat completion stream, from bytes to events. No I/O: bytes are fed in, events come out.

Lines end in LF or CRLF; each `data:` line is one event (every known server writes its JSON on one line).
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from msgspec import Struct

from schemas.api.turn import TurnUsage
from stack.errors import UpstreamFailed
from stack.providers.inference.openai_errors import message_of
from stack.providers.inference.port import Finished, FinishReason, InferenceEvent, TextChunk, ToolCallChunk

MAX_LINE_BYTES = 8 * 2**20
MAX_ANSWER_BYTES = 32 * 2**20


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class AnswerStream:
    """One streamed answer as it arrives. `done` once [DONE] was seen; `finish_reason` once it was given;
    `failure` is what came behind the events that `feed` returned last."""

    def __init__(self, where: str) -> None:
        self.done = False
        self.finish_reason: str | None = None
        self.failure: UpstreamFailed | None = None
        self._where = where
        self._rest = bytearray()
        self._received = 0
        self._usage = TurnUsage()
        self._response_id = ""
        self._response_model = ""
        self._call_ids: dict[int, str] = {}

    def feed(self, data: bytes) -> tuple[int, list[InferenceEvent]]:
        """How many chunks of the answer `data` completed, and the events they hold (a chunk may hold none).

        Raises UpstreamFailed for what is no such stream, for an error inside it, and for one out of bounds;
        where events came before it, it is kept as `failure` instead, since they were sent.
        """
        self._received += len(data)
        if self._received > MAX_ANSWER_BYTES:
            raise self._failed(f"the answer is longer than {MAX_ANSWER_BYTES >> 20} MiB")
        lines: list[bytes] = []
        if b"\n" in data:
            *lines, rest = (bytes(self._rest) + data).split(b"\n")
            self._rest = bytearray(rest)
        else:
            # Grown in place: a long line comes in hundreds of pieces.
            self._rest += data
        if len(self._rest) > MAX_LINE_BYTES:
            raise self._failed(f"a line of the answer is longer than {MAX_LINE_BYTES >> 20} MiB")
        events: list[InferenceEvent] = []
        chunks = 0
        for line in lines:
            if line and not self.done:
                try:
                    chunks += self._line(line, events)
                except UpstreamFailed as failure:
                    if not events:
                        raise
                    self.failure = failure
                    break
        return chunks, events

    def finished(self) -> Finished:
        """The last event, once the stream has ended. Raises UpstreamFailed for an answer that was cut off."""
        if self.finish_reason is None:
            raise self._failed("the answer was cut off: its stream ended without a finish reason")
        reason = _REASONS.get(self.finish_reason, "stop")
        if reason == "stop" and self._call_ids:
            # Said so by OpenAI itself when a tool was named, and by several servers always.
            reason = "tool_calls"
        return Finished(reason, self._usage, self._response_id, self._response_model)

    def _line(self, line: bytes, events: list[InferenceEvent]) -> int:
        if line.startswith(b"data:"):
            payload = line[5:].strip()
            if payload == b"[DONE]":
                self.done = True
                return 0
            if payload:
                self._chunk(payload, events)
                return 1
        elif not line.startswith((b":", b"event:", b"id:", b"retry:")) and line.strip():
            raise self._failed("it answered with something else than an event stream")
        return 0

    def _chunk(self, payload: bytes, events: list[InferenceEvent]) -> None:
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._failed("a chunk of the answer is malformed") from None
        if chunk.error:
            raise self._failed(f"it reported an error inside the answer: {message_of(payload)}")
        if chunk.id and not self._response_id:
            self._response_id = chunk.id
        if chunk.model and not self._response_model:
            self._response_model = chunk.model
        if chunk.usage is not None:
            self._usage = TurnUsage(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0)
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._choice(choice, events)

    def _choice(self, choice: _Choice, events: list[InferenceEvent]) -> None:
        delta = choice.delta
        if delta is not None:
            if delta.content:
                events.append(TextChunk(delta.content))
            if delta.refusal:
                events.append(TextChunk(delta.refusal))
            for position, call in enumerate(delta.tool_calls or ()):
                events.append(self._call(position if call.index is None else call.index, call))
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason

    def _call(self, index: int, call: _Call) -> ToolCallChunk:
        function = call.function or _Function()
        arguments = function.arguments or ""
        if index in self._call_ids:
            return ToolCallChunk(index, arguments=arguments)
        if not function.name:
            raise self._failed("a tool call of the answer has no name")
        self._call_ids[index] = call.id or f"call_{secrets.token_hex(12)}"
        return ToolCallChunk(index, self._call_ids[index], function.name, arguments)

    def _failed(self, what: str) -> UpstreamFailed:
        return UpstreamFailed(f"{self._where}: {what}.")
