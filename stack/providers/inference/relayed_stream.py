"""What an OpenAI answer says about itself while it passes: names, finish reasons, tokens. No I/O.

Nothing here refuses anything: what is not understood is not noted, and passes all the same.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from stack.errors import UpstreamFailed
from stack.providers.inference.event_lines import MAX_LINE_BYTES

MAX_KEPT_CHARACTERS = 256 * 1024
"""Of an answer's text, where it is kept at all."""
MAX_CHOICES = 128
"""Of which something is noted."""


class _Choice(Struct):
    index: Any = 0
    delta: Any = None
    message: Any = None
    finish_reason: Any = None


class _Usage(Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None


class _Chunk(Struct):
    id: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class Noted:
    """What an answer has said so far. `chunks` counts those that came, `error` is the type of a failure in them."""

    def __init__(self, keep_messages: bool = False) -> None:
        self.chunks = 0
        self.response_id = ""
        self.model = ""
        self.finish_reasons: dict[int, str] = {}
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.error = ""
        self._messages: dict[int, dict[str, Any]] = {}
        self._room = MAX_KEPT_CHARACTERS if keep_messages else 0

    def note(self, payload: bytes) -> bool:
        """Reads one chunk, or a whole answer. True for a chunk that has tokens and no choice."""
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        self.chunks += 1
        if chunk.error:
            self.error = _kind_of(chunk.error)
        self.response_id = self.response_id or _text(chunk.id)
        self.model = self.model or _text(chunk.model)
        for choice in chunk.choices or ():
            if isinstance(choice.index, int) and 0 <= choice.index < MAX_CHOICES:
                self._note_choice(choice.index, choice)
        if chunk.usage is None:
            return False
        self.input_tokens = _count(chunk.usage.prompt_tokens)
        self.output_tokens = _count(chunk.usage.completion_tokens)
        return not chunk.choices

    def said(self) -> list[tuple[dict[str, Any], str]]:
        """The message of each choice with its finish reason, where messages are kept."""
        return [
            (
                {**message, "tool_calls": [_as_call(call) for call in message["tool_calls"].values()]},
                self.finish_reasons.get(index, ""),
            )
            for index, message in sorted(self._messages.items())
        ]

    def _note_choice(self, index: int, choice: _Choice) -> None:
        if isinstance(choice.finish_reason, str):
            self.finish_reasons[index] = choice.finish_reason
        said = choice.delta or choice.message
        if self._room > 0 and isinstance(said, dict):
            message = self._messages.setdefault(index, {"role": "assistant", "content": "", "tool_calls": {}})
            content = _text(said.get("content"))[: self._room]
            message["content"] += content
            self._room -= len(content)
            calls = said.get("tool_calls")
            for position, call in enumerate(calls if isinstance(calls, list) else ()):
                self._note_call(message["tool_calls"], position, call)

    def _note_call(self, calls: dict[int, dict[str, str]], position: int, call: Any) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and self._room > 0:
            at = call.get("index", position)
            kept = calls.setdefault(at if isinstance(at, int) else position, {"arguments": ""})
            arguments = _text(function.get("arguments"))[: self._room]
            kept["arguments"] += arguments
            kept["id"] = kept.get("id") or _text(call.get("id"))
            kept["name"] = kept.get("name") or _text(function.get("name"))
            self._room -= len(arguments)


def _as_call(kept: dict[str, str]) -> dict[str, Any]:
    return {"id": kept["id"], "function": {"name": kept["name"], "arguments": kept["arguments"]}}


class RelayedStream:
    """A stream of events. They come out whole and as they were, but for the one about tokens with
    `without_usage`: whoever did not ask for it does not expect an event without choices; and for the last one with
    `without_done`, for clients that take every event for JSON."""

    def __init__(self, noted: Noted, *, without_usage: bool, without_done: bool = False) -> None:
        self._noted = noted
        self._without_done = without_done
        self._without_usage = without_usage
        self._rest = bytearray()

    def feed(self, piece: bytes) -> bytes:
        """The events that `piece` completed. Raises UpstreamFailed for one that is too long."""
        seen = max(0, len(self._rest) - 3)
        self._rest += piece
        end = max(_behind(self._rest, b"\n\n", seen), _behind(self._rest, b"\r\n\r\n", seen))
        if not end:
            if len(self._rest) > MAX_LINE_BYTES:
                raise UpstreamFailed(f"An event of the answer is longer than {MAX_LINE_BYTES >> 20} MiB.")
            return b""
        events = bytes(self._rest[:end])
        del self._rest[:end]
        return self._passed(events)

    def ended(self) -> bytes:
        """What came behind the last whole event."""
        return self._passed(bytes(self._rest))

    def _passed(self, events: bytes) -> bytes:
        dropped = [payload for payload in _payloads(events) if self._noted.note(payload)]
        if not self._without_usage:
            dropped.clear()
        if self._without_done and b"[DONE]" in events:
            dropped.append(b"[DONE]")
        if not dropped:
            return events
        separator = b"\r\n\r\n" if b"\r\n\r\n" in events else b"\n\n"
        kept = [
            event
            for event in events.split(separator)
            if not any(payload in dropped for payload in _payloads(event))
        ]
        return separator.join(kept)


def _payloads(events: bytes) -> list[bytes]:
    """The data of each `data:` line; every known server writes its JSON on one."""
    return [line[5:].strip() for line in events.split(b"\n") if line.startswith(b"data:")]


def _behind(data: bytearray, separator: bytes, start: int) -> int:
    """The position behind the last separator from `start` on; 0 where there is none."""
    found = data.rfind(separator, start)
    return 0 if found < 0 else found + len(separator)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**53 else None


def _kind_of(error: Any) -> str:
    if isinstance(error, dict):
        for key in ("code", "type"):
            if isinstance(error.get(key), str | int) and error[key]:
                return str(error[key])[:100]
    return "error"
