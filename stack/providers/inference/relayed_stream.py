"""Converts a streamed OpenAI response, whatever the server sends, to a valid event stream while it passes. No
I/O."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.api.chat_completion import OpenAIError, OpenAIErrorResponse
from stack.errors import TooManyRequests, Unavailable, UpstreamFailed
from stack.providers.inference.event_lines import (
    FIELDS,
    MAX_LINE_BYTES,
    EventLines,
    LineTooLong,
    field_of,
    is_done,
)
from stack.providers.inference.lenient_json import NotJSON, clean, decode
from stack.providers.inference.noted_answer import Noted
from stack.providers.inference.openai_chunk import choices_of, error_in, remark_in, status_in
from stack.providers.inference.openai_errors import DEFAULT_RETRY_AFTER_S, message_of

_DONE = b"data: [DONE]\n\n"


class RelayedStream:
    """A stream of events, passed on completely and unchanged, with two exceptions: with `without_usage` the
    event with token counts is removed, because a caller that did not request it does not expect an event
    without choices; and with `without_done` the last event is removed, for clients that parse every event as
    JSON.

    JSON outside of events is converted to events; a whole completion is converted to a chunk. `where` names
    the server in errors, `quote` removes secrets from its text.
    """

    def __init__(
        self,
        noted: Noted,
        *,
        without_usage: bool,
        without_done: bool = False,
        where: str = "The model server",
        quote: Callable[[str], str] = lambda text: text,
    ) -> None:
        self._noted = noted
        self._without_done = without_done
        self._without_usage = without_usage
        self._where = where
        self._quote = quote
        self._lines = EventLines()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._data: list[bytes] = []
        self._whole = False
        self._dropping = False
        self._begun = False
        self._plain: list[bytes] = []

    def feed(self, piece: bytes) -> bytes:
        """Returns the events that `piece` completes. Raises UpstreamFailed for one that is too long, and the
        errors of `ended`."""
        out: list[bytes] = []
        try:
            lines = self._lines.feed(piece)
        except LineTooLong:
            raise self._too_long() from None
        if self._lines.continued and not self._dropping:
            (self._held or out).append(b"\n")
        for line in lines:
            self._line(line, out)
        if self._held_bytes > MAX_LINE_BYTES:
            raise self._too_long()
        return b"".join(out)

    def ended(self) -> bytes:
        """Returns the rest after the last complete event, as one event. Raises UpstreamFailed,
        TooManyRequests or Unavailable with the server's text if there was no event."""
        out: list[bytes] = []
        if rest := self._lines.end():
            self._line(rest, out)
        if self._plain:
            self._json(b"".join(self._plain), out)
        if self._data:
            self._note_event()
        if not self._begun:
            self._fail(b"".join(self._held))
        if self._held:
            complete = self._held[-1].endswith((b"\n", b"\r"))
            self._release(out, b"\n" if complete else b"\n\n")
        return b"".join(out + self._remarked())

    def _remarked(self) -> list[bytes]:
        """Returns an error event for an answer that did not reach its end and contained text instead: clients
        recognise an error only by the key `error`."""
        if not self._noted.remark or self._noted.finish_reasons:
            return []
        self._noted.error = self._noted.error or "error"
        message = f"{self._where} reported: {self._quote(self._noted.remark)}"
        self._noted.remark = ""
        error = OpenAIErrorResponse(OpenAIError(message, "upstream_error"))
        return [b"data: " + msgspec.json.encode(error) + b"\n\n"]

    def _line(self, line: bytes, out: list[bytes]) -> None:
        if self._plain:
            self._hold_plain(line)
            return
        if not line.strip():
            self._blank(line, out)
            return
        name, value = field_of(line)
        if name == b":":
            self._begun = True
            (self._held or out).append(line)
            return
        if self._whole:
            # The blank line between two events is missing.
            self._release(out, b"\n")
        self._dropping = False
        if name not in FIELDS:
            if line.lstrip()[:1] in (b"{", b"["):
                self._json(line, out)
            else:
                self._hold(line)
            return
        self._begun = True
        self._hold(line)
        if name == b"data" and (value or self._data):
            self._take_data(value)

    def _take_data(self, value: bytes) -> None:
        if self._data:
            self._data.append(value)
        elif is_done(value):
            if self._noted.chunks > 1:
                # After text, [DONE] means that the answer is complete.
                self._noted.remark = ""
            elif not self._without_done:
                self._held[:0] = self._remarked()
            self._decide(self._without_done)
        elif (dropped := self._note(value)) is None:
            self._data.append(value)
        else:
            self._decide(dropped)

    def _blank(self, line: bytes, out: list[bytes]) -> None:
        if self._data:
            self._decide(self._note_event())
        if self._dropping:
            return
        if self._begun and self._held:
            self._release(out, line)
        elif self._held:
            self._hold(line)
        else:
            out.append(line)

    def _note_event(self) -> bool:
        """Like `_note`, for an event that has ended: data that is not JSON, and does not begin like it, is
        plain text."""
        payload = b"\n".join(self._data)
        dropped = self._note(payload)
        if dropped is None and not payload.startswith((b"{", b"[")):
            self._noted.remark = self._noted.remark or message_of(payload)
        return bool(dropped)

    def _note(self, payload: bytes) -> bool | None:
        """Returns whether the event is left out; None if it is not JSON."""
        noted = self._noted.note(payload)
        return None if noted is None else noted and self._without_usage

    def _decide(self, dropped: bool) -> None:
        """Decides about the held event by its data: it is passed on once it has ended, or left out."""
        self._data.clear()
        self._whole = not dropped
        self._dropping = dropped
        if dropped:
            self._held.clear()
            self._held_bytes = 0

    def _hold(self, line: bytes) -> None:
        self._held.append(line)
        self._held_bytes += len(line)

    def _hold_plain(self, line: bytes) -> None:
        self._plain.append(line)
        self._held_bytes += len(line)

    def _release(self, out: list[bytes], end: bytes) -> None:
        out += self._held
        out.append(end)
        self._held.clear()
        self._held_bytes = 0
        self._whole = False

    def _json(self, text: bytes, out: list[bytes]) -> None:
        """Handles JSON without an event around it: a chunk, a whole completion, or an error."""
        try:
            value = decode(text)
        except NotJSON:
            if self._plain:
                self._fail(text)
            self._hold_plain(text)
            return
        self._plain.clear()
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, dict):
                continue
            if not self._begun and (error_in(one) is not None or remark_in(one)):
                self._fail(text)
            self._begun = True
            is_whole = any("message" in choice for choice in choices_of(one))
            if self._noted.note_value(one) and self._without_usage:
                continue
            chunk = _as_chunk(one, self._without_usage) if is_whole else one
            said = clean(json.dumps(chunk, ensure_ascii=False, separators=(",", ":")))
            out.append(b"data: " + said.encode() + b"\n\n")
            if is_whole and not self._without_done:
                out.append(_DONE)

    def _fail(self, body: bytes) -> None:
        """Raises the failure that a body without an answer represents."""
        said = self._quote(message_of(body))
        quoted = f": {said}" if said else "."
        status = _status_in(body)
        if status == 429:
            raise TooManyRequests(
                f"{self._where} is limiting requests{quoted}", retry_after=DEFAULT_RETRY_AFTER_S
            )
        if status in (503, 529):
            raise Unavailable(f"{self._where} is not ready{quoted}", retry_after=DEFAULT_RETRY_AFTER_S)
        if body.lstrip().startswith(b"<"):
            raise UpstreamFailed(f"{self._where} answered with a web page{quoted} Check base_url.")
        raise UpstreamFailed(f"{self._where} answered with something else than an event stream{quoted}")

    def _too_long(self) -> UpstreamFailed:
        return UpstreamFailed(f"An event of the answer is longer than {MAX_LINE_BYTES >> 20} MiB.")


def _status_in(body: bytes) -> int | None:
    try:
        value = decode(body)
    except NotJSON:
        return None
    one = value[0] if isinstance(value, list) and value else value
    return status_in(one, error_in(one)) if isinstance(one, dict) else None


def _as_chunk(whole: dict[str, Any], without_usage: bool) -> dict[str, Any]:
    """Converts a whole completion to a single chunk of a stream."""
    choices = []
    for choice in choices_of(whole):
        delta = choice.get("message")
        if isinstance(delta, dict) and isinstance(calls := delta.get("tool_calls"), list):
            numbered = [
                {"index": at, **call} if isinstance(call, dict) else call for at, call in enumerate(calls)
            ]
            delta = {**delta, "tool_calls": numbered}
        choices.append({**{key: value for key, value in choice.items() if key != "message"}, "delta": delta})
    chunk = {**whole, "object": "chat.completion.chunk", "choices": choices}
    if without_usage:
        chunk.pop("usage", None)
    return chunk
