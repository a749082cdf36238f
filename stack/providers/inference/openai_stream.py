"""Converts an OpenAI chat completion stream from bytes to events. No I/O.

Also accepts similar responses: a whole completion or an error as plain JSON, one JSON object per line, and
plain text. The content type is ignored: servers label all of these in different ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from schemas.events.payload import TurnUsage
from stack.errors import ReplaystackError, TooManyRequests, Unavailable, UpstreamFailed
from stack.providers.inference.event_lines import (
    FIELDS,
    MAX_LINE_BYTES,
    EventLines,
    LineTooLong,
    field_of,
    is_done,
)
from stack.providers.inference.lenient_json import (
    Characters,
    NotJSON,
    any_text,
    clean,
    decode,
    name_in,
    reasoning_in,
    text_in,
)
from stack.providers.inference.openai_chunk import (
    Tokens,
    choices_of,
    delta_of,
    error_in,
    finish_of,
    index_of,
    plain_chunk,
    reason_of,
    remark_in,
    status_in,
)
from stack.providers.inference.openai_errors import DEFAULT_RETRY_AFTER_S, message_of, words_of
from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    ReasoningChunk,
    TextChunk,
)
from stack.providers.inference.tool_calls import MAX_CALLS, ToolCalls, TooManyCalls

MAX_ANSWER_BYTES = 32 * 2**20
MAX_WORDS_BYTES = 16 * 1024
"""Maximum size of a body that is not an answer, in bytes, for the error that quotes it."""


class _Tool(Struct):
    class Function(Struct):
        name: str = ""

    function: Function


_tool = msgspec.json.Decoder(_Tool).decode


class AnswerStream:
    """One streamed answer as it arrives.

    `done` is set after its last event, `ending` after a finish reason; `failure` is an error that followed
    the events last returned by `feed`. `where` names the server in errors, `masked` removes secrets from
    quoted text, and `tools` are the tools that the model was offered.
    """

    def __init__(
        self, where: str, tools: Sequence[Raw] = (), masked: Callable[[str], str] = lambda text: text
    ) -> None:
        self.done = False
        self.failure: ReplaystackError | None = None
        self._where = where
        self._masked = masked
        self._lines = EventLines()
        self._received = 0
        self._event = b""
        self._data: list[bytes] = []
        self._is_plain = False
        self._words = b""
        self._remark = ""
        self._chunks = 0
        self._choice_index: int | None = None
        self._reason = ""
        self._said: list[str] = []
        self._by_delta = False
        self._text = Characters()
        self._reasoning = Characters()
        self._calls = ToolCalls(lambda: {_tool(tool).function.name for tool in tools})
        self._tokens = Tokens()
        self._response_id = ""
        self._response_model = ""

    @property
    def ending(self) -> bool:
        return bool(self._reason)

    def feed(self, data: bytes) -> tuple[int, list[InferenceEvent]]:
        """Returns the number of chunks that `data` completes, and their events (a chunk may have none).

        Raises UpstreamFailed for a body that is not an answer, for an error inside it, and for one that is
        too long. If events preceded the error, it is stored in `failure` instead, so that they are still
        sent.
        """
        self._received += len(data)
        if self._received > MAX_ANSWER_BYTES:
            raise self._failed(f"the answer is longer than {MAX_ANSWER_BYTES >> 20} MiB")
        try:
            lines = self._lines.feed(data)
        except LineTooLong:
            raise self._failed(f"a line of the answer is longer than {MAX_LINE_BYTES >> 20} MiB") from None
        return self._taken(lines)

    def end(self) -> list[InferenceEvent]:
        """Returns the last events, once the stream has ended or is no longer waited for."""
        if self.failure is not None:
            raise self.failure
        try:
            _, events = self._taken([self._lines.end(), b"\n"] if not self.done else [], at_end=True)
        except UpstreamFailed:
            if not self._reason:
                raise
            events = []
        for characters, kind in ((self._reasoning, ReasoningChunk), (self._text, TextChunk)):
            if rest := characters.end():
                events.append(kind(rest))
                self._said.append(rest)
        events += self._calls.end()
        return events

    def finished(self) -> Finished:
        """Returns the last event, after `end`. Raises UpstreamFailed for an answer that was cut off, or that
        ended for a reason that is not known to be good."""
        if not self._chunks:
            page = " Check base_url." if self._words.lstrip().startswith(b"<") else ""
            failure = self._failed(f"it answered with something else than an event stream{self._quoted()}")
            failure.detail += page
            raise failure
        whole = self.done and not self._remark and (self._said or len(self._calls))
        if not self._reason and not whole:
            raise self._failed(f"the answer was cut off: it ended without a finish reason{self._quoted()}")
        reason = finish_of(self._reason) if self._reason else "stop"
        if reason is None:
            failure = self._failed(f"the answer ended with the finish reason {self._reason[:100]!r}")
            failure.should_retry = False
            raise failure
        if reason != "length":
            if self._calls.nameless:
                raise self._failed("a tool call of the answer has no name")
            if len(self._calls):
                # Sent by OpenAI itself if a tool was named, and by several servers always.
                reason = "tool_calls"
            elif reason == "tool_calls" and not self._said:
                raise self._failed("the answer says that it calls tools and names none")
        usage = TurnUsage(self._tokens.input, self._tokens.output, self._tokens.cached)
        return Finished(reason, usage, self._response_id, self._response_model)

    def _taken(self, lines: list[bytes], at_end: bool = False) -> tuple[int, list[InferenceEvent]]:
        events: list[InferenceEvent] = []
        before = self._chunks
        for line in lines:
            if self.done:
                break
            try:
                self._line(line, events, at_end)
            except ReplaystackError as failure:
                if not events:
                    raise
                self.failure = failure
                break
        return self._chunks - before, events

    def _line(self, line: bytes, events: list[InferenceEvent], at_end: bool) -> None:
        if not line.strip():
            if self._data and (at_end or not self._is_plain):
                self._event_ended(events)
            self._event = b"" if not self._is_plain else self._event
            return
        if self._is_plain and self._data:
            self._data.append(line)
            return
        name, value = field_of(line)
        if name == b"data":
            self._take_data(value, events)
        elif name == b"event":
            self._event = value.lower()
        elif name not in FIELDS:
            self._plain(line.strip(), events)

    def _take_data(self, value: bytes, events: list[InferenceEvent]) -> None:
        """An event is read with its first line of data if that is complete, which is nearly always: a server
        that omits the blank line after it causes no delay."""
        if self._data or not value:
            if self._data:
                self._data.append(value)
            return
        if is_done(value):
            self.done = True
            return
        if self._choice_index == 0 and not self._event and (plain := plain_chunk(value)) is not None:
            self._add_text(plain.choices[0].delta.content, events)
            self._chunks += 1
            return
        try:
            chunk = decode(value)
        except NotJSON:
            self._data.append(value)
            return
        self._chunk(chunk, events)

    def _plain(self, line: bytes, events: list[InferenceEvent]) -> None:
        """Handles a line that is not a field: JSON without an event around it, or plain text."""
        if is_done(line):
            self.done = True
        elif line.startswith((b"{", b"[")):
            self._is_plain = True
            self._take_data(line, events)
        elif len(self._words) < MAX_WORDS_BYTES:
            self._words += line[:MAX_WORDS_BYTES] + b"\n"

    def _event_ended(self, events: list[InferenceEvent]) -> None:
        payload, self._data = b"\n".join(self._data), []
        try:
            chunk = decode(payload)
        except NotJSON:
            if self._event == b"error":
                raise self._reported(payload) from None
            said = self._masked(message_of(payload))
            raise self._failed(f"a chunk of the answer is malformed: {said}") from None
        self._chunk(chunk, events)

    def _chunk(self, chunk: Any, events: list[InferenceEvent]) -> None:
        if isinstance(chunk, list) and all(isinstance(one, dict) for one in chunk):
            for one in chunk:
                self._chunk(one, events)
            return
        if not isinstance(chunk, dict):
            if isinstance(chunk, str | list) and chunk:
                raise self._failed(f"a chunk of the answer is malformed: {self._masked(words_of(chunk))}")
            return
        error = error_in(chunk)
        if error is None and self._event == b"error" and not choices_of(chunk):
            error = chunk
        if error is not None:
            raise self._reported(error, status_in(chunk, error))
        if remark_in(chunk):
            self._remark = self._remark or words_of(chunk)
            return
        self._chunks += 1
        self._response_id = self._response_id or name_in(chunk.get("id"))
        self._response_model = self._response_model or name_in(chunk.get("model"))
        self._tokens.note(chunk)
        for choice in choices_of(chunk):
            index = index_of(choice)
            if self._choice_index is None:
                self._choice_index = index
            if index == self._choice_index:
                self._choice(choice, events)

    def _choice(self, choice: dict[str, Any], events: list[InferenceEvent]) -> None:
        said, is_message = delta_of(choice)
        if said:
            self._add(said, is_message, events)
        reason = reason_of(choice)
        # A limit or a failure is not overridden by a later success.
        if reason and finish_of(self._reason or "stop") not in (None, "length"):
            self._reason = reason
        if is_message and self._is_plain and choice.get("message") is said:
            # A completion in one part is complete, with or without a reason.
            self.done = self.done or not self._reason

    def _add(self, said: dict[str, Any], is_message: bool, events: list[InferenceEvent]) -> None:
        content, refusal = said.get("content"), said.get("refusal")
        thought = any_text(said.get("reasoning_content")) or any_text(said.get("reasoning"))
        if thought := self._reasoning.feed(thought + reasoning_in(content)):
            events.append(ReasoningChunk(thought))
        text = text_in(content) + text_in(refusal)
        if is_message and self._by_delta:
            text = self._not_said_yet(text)
        self._add_text(text, events)
        called = said.get("tool_calls")
        if not called and isinstance(said.get("function_call"), dict):
            called = [said["function_call"]]
        if called and not (is_message and self._by_delta and len(self._calls)):
            try:
                events += self._calls.add(called)
            except TooManyCalls:
                raise self._failed(f"the answer has more than {MAX_CALLS} tool calls") from None
        self._by_delta = self._by_delta or not is_message

    def _add_text(self, text: str, events: list[InferenceEvent]) -> None:
        if text and (text := self._text.feed(text)):
            self._said.append(text)
            events.append(TextChunk(text))

    def _not_said_yet(self, text: str) -> str:
        """Returns what a message adds to the previous deltas: several servers end a stream with the whole
        answer."""
        said = "".join(self._said)
        if text.strip() == said.strip():
            return ""
        return text[len(said) :] if said and text.startswith(said) else text

    def _reported(self, error: Any, status: int | None = None) -> ReplaystackError:
        """Returns the failure that the server reports inside its answer, with its text."""
        said = self._masked(message_of(error) if isinstance(error, bytes) else words_of(error))
        if not self._chunks and status == 429:
            return TooManyRequests(
                f"{self._where} is limiting requests: {said}", retry_after=DEFAULT_RETRY_AFTER_S
            )
        if not self._chunks and status in (503, 529):
            return Unavailable(f"{self._where} is not ready: {said}", retry_after=DEFAULT_RETRY_AFTER_S)
        return self._failed(f"it reported an error inside the answer: {said}")

    def _quoted(self) -> str:
        said = self._masked(self._remark or clean(message_of(self._words)))
        return f": {said}" if said else ""

    def _failed(self, what: str) -> UpstreamFailed:
        return UpstreamFailed(f"{self._where}: {what}.")
