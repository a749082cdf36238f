"""Records metadata of an OpenAI response while it is passed through: names, finish reasons, tokens. No I/O.

Nothing is refused here: data that is not understood is not recorded, and still passed through.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from stack.providers.inference.lenient_json import NotJSON, decode, name_in, text_in
from stack.providers.inference.openai_chunk import (
    Tokens,
    choices_of,
    delta_of,
    error_in,
    index_of,
    plain_chunk,
    reason_of,
    remark_in,
)
from stack.providers.inference.openai_errors import words_of
from stack.providers.inference.port import ToolCallChunk
from stack.providers.inference.tool_calls import ToolCalls, TooManyCalls

MAX_KEPT_CHARACTERS = 256 * 1024
"""Maximum length of an answer's recorded text, in characters, if it is recorded at all."""
MAX_CHOICES = 128
"""Maximum number of choices that are recorded."""


class _Message:
    """The recorded message of one choice."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.calls: dict[int, dict[str, str]] = {}
        self.assembled = ToolCalls(tuple)

    def add_calls(self, chunks: list[ToolCallChunk]) -> int:
        for chunk in chunks:
            call = self.calls.setdefault(
                chunk.index, {"id": chunk.call_id, "name": chunk.name, "arguments": ""}
            )
            call["arguments"] += chunk.arguments
        return sum(len(chunk.arguments) for chunk in chunks)

    def shown(self) -> dict[str, Any]:
        self.add_calls(self.assembled.end())
        calls = [
            {
                "id": call["id"],
                "function": {
                    "name": call["name"],
                    "arguments": call["arguments"][:MAX_KEPT_CHARACTERS] or "{}",
                },
            }
            for call in self.calls.values()
        ]
        return {"role": "assistant", "content": "".join(self.content), "tool_calls": calls}


class Noted:
    """The metadata of a response so far. `chunks` counts its chunks, `error` is the type of a failure in
    them, `remark` is text that was sent instead of a failure."""

    def __init__(self, keep_messages: bool = False) -> None:
        self.chunks = 0
        self.response_id = ""
        self.model = ""
        self.finish_reasons: dict[int, str] = {}
        self.error = ""
        self.remark = ""
        self._tokens = Tokens()
        self._messages: dict[int, _Message] = {}
        self._room = MAX_KEPT_CHARACTERS if keep_messages else 0

    @property
    def input_tokens(self) -> int | None:
        return self._tokens.input

    @property
    def output_tokens(self) -> int | None:
        return self._tokens.output

    def note(self, payload: bytes) -> bool | None:
        """Records one chunk, or a whole response. Returns True for a chunk with tokens and without choices,
        None for data that is not JSON."""
        if self._room <= 0 and self.model and plain_chunk(payload) is not None:
            self.chunks += 1
            return False
        try:
            value = decode(payload)
        except NotJSON:
            return None
        return self.note_value(value) if isinstance(value, dict) else False

    def note_embeddings(self, payload: bytes) -> None:
        """Records a response with embeddings, which are not decoded: they may have millions of numbers."""
        try:
            fields = msgspec.json.decode(payload, type=dict[str, Raw])
            self.note_value({name: decode(bytes(value)) for name, value in fields.items() if name != "data"})
        except (msgspec.MsgspecError, UnicodeDecodeError, NotJSON):
            self.note(payload)

    def note_value(self, chunk: dict[str, Any]) -> bool:
        """Like `note`, for a chunk that has been decoded."""
        self.chunks += 1
        if (error := error_in(chunk)) is not None:
            self.error = _kind_of(error)
        if not self.remark and "error" not in chunk and (error is not None or remark_in(chunk)):
            self.remark = words_of(chunk if error is None else error)
        self.response_id = self.response_id or name_in(chunk.get("id"))
        self.model = self.model or name_in(chunk.get("model"))
        for choice in choices_of(chunk):
            if (index := index_of(choice)) < MAX_CHOICES:
                self._note_choice(index, choice)
        return self._tokens.note(chunk) and not chunk.get("choices")

    def said(self) -> list[tuple[dict[str, Any], str]]:
        """Returns the message of each choice with its finish reason, if messages are recorded."""
        return [
            (message.shown(), self.finish_reasons.get(index, ""))
            for index, message in sorted(self._messages.items())
        ]

    def _note_choice(self, index: int, choice: dict[str, Any]) -> None:
        if reason := reason_of(choice):
            self.finish_reasons[index] = reason
        if self._room <= 0:
            return
        said, _ = delta_of(choice)
        message = self._messages.setdefault(index, _Message())
        content = text_in(said.get("content"))[: self._room]
        message.content.append(content)
        self._room -= len(content)
        if called := said.get("tool_calls"):
            try:
                self._room -= message.add_calls(message.assembled.add(called))
            except TooManyCalls:
                self._room = 0


def _kind_of(error: Any) -> str:
    if isinstance(error, dict):
        for key in ("code", "type"):
            if isinstance(error.get(key), str | int) and error[key]:
                return str(error[key])[:100]
    return "error"
