"""The answer of a running inference: its text and tool calls so far, and their timing."""

from __future__ import annotations

from collections.abc import Callable

from schemas.events.payload import CompletionMessage, ToolCall
from schemas.events.turn import StreamTrace
from stack.errors import UpstreamFailed
from stack.providers.inference.port import ToolCallChunk
from stack.runs.live import Frame
from stack.services.turns.turn_frames import TurnFrames

# A longer answer is refused, because streamed content is also kept in memory until the turn ends.
MAX_ANSWER_CHARACTERS = 16 * 2**20
MAX_CALLS = 128
MAX_REASONING_CHARACTERS = 256 * 1024
"""Maximum length of recorded reasoning in characters; only its beginning is kept."""


class Answer:
    """Accepts chunks, returns their frames, and records what a replay needs. Raises UpstreamFailed if the
    answer exceeds a limit."""

    def __init__(
        self, step_id: str, frames: TurnFrames, now_ms: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self.step_id = step_id
        self._frames = frames
        self._now_ms = now_ms
        self._new_id = new_id
        self._last_ms = now_ms()
        self._parts: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._characters = 0
        self._lengths: list[int] = []
        self._delays_ms: list[int] = []
        self._sources: list[int] = []
        self._reasoning: list[str] = []
        self._reasoning_room = MAX_REASONING_CHARACTERS

    def text(self, text: str) -> Frame:
        self._check_room(len(text))
        self._parts.append(text)
        number, delay_ms = self._traced(len(text), -1)
        return self._frames.text(self.step_id, number, text, delay_ms)

    def reason(self, text: str) -> None:
        """Records a part of the model's reasoning. It has no frame, because the contract does not define
        one."""
        if self._reasoning_room > 0:
            self._reasoning.append(text[: self._reasoning_room])
            self._reasoning_room -= len(text)

    def call_chunk(self, chunk: ToolCallChunk) -> list[Frame]:
        """Returns the frames of a part of a call; the first part of a call completes the previous call."""
        self._check_room(len(chunk.arguments))
        frames: list[Frame] = []
        call = self._calls.get(chunk.index)
        if call is None:
            if len(self._calls) >= MAX_CALLS:
                raise UpstreamFailed(f"The model made more than {MAX_CALLS} tool calls in one answer.")
            frames = self.complete_calls()
            call = self._calls[chunk.index] = _Call(
                len(self._calls), self._call_id(chunk.call_id), chunk.name
            )
        elif chunk.name and not call.name and not call.complete:
            call.name = chunk.name
        if chunk.arguments and not call.complete:
            call.arguments.append(chunk.arguments)
            number, delay_ms = self._traced(len(chunk.arguments), call.number)
            frames.append(self._frames.call_fragment(self.step_id, number, chunk.arguments, delay_ms))
        return frames

    def complete_calls(self) -> list[Frame]:
        """Returns the frames of calls that have just become complete."""
        frames = []
        for call in self._calls.values():
            if not call.complete:
                call.complete = True
                number, delay_ms = self._traced(-1, call.number)
                frames.append(self._frames.call(self.step_id, number, call.wire(), delay_ms))
        return frames

    def message(self, reason: str) -> CompletionMessage:
        """Returns the message so far. The last call of an interrupted answer may be incomplete."""
        calls = [call.wire() for call in self._calls.values()]
        return CompletionMessage(content="".join(self._parts), stop_reason=reason, tool_calls=calls or None)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def trace(self) -> StreamTrace:
        calls = self._sources if self._calls else None
        return StreamTrace(self._lengths, self._delays_ms, calls)

    def _call_id(self, given: str) -> str:
        """Makes ids unique within an answer, whatever the model server sends."""
        taken = any(call.call_id == given for call in self._calls.values())
        return f"call_{self._new_id()}" if taken or not given else given

    def _check_room(self, characters: int) -> None:
        """Called before anything is recorded, so that the record equals what was streamed."""
        if self._characters + characters > MAX_ANSWER_CHARACTERS:
            raise UpstreamFailed(f"The model's answer passed {MAX_ANSWER_CHARACTERS} characters.")

    def _traced(self, length: int, source: int) -> tuple[int, int]:
        """Records a chunk; returns its number from 1 and the milliseconds since the previous one."""
        now_ms = self._now_ms()
        delay_ms = max(0, round(now_ms - self._last_ms))
        self._last_ms = now_ms
        self._lengths.append(length)
        self._delays_ms.append(delay_ms)
        self._sources.append(source)
        self._characters += max(0, length)
        return len(self._lengths), delay_ms


class _Call:
    def __init__(self, number: int, call_id: str, name: str) -> None:
        self.number = number
        self.call_id = call_id
        self.name = name
        self.arguments: list[str] = []
        self.complete = False

    def wire(self) -> ToolCall:
        """Returns the call. Some servers send nothing if there are no arguments."""
        return ToolCall(self.call_id, self.name, "".join(self.arguments) or "{}")
