"""Builds the frames of a turn's stream and its wire form from its events, both live and replayed.

There is exactly one way from an event to its frames, so a replay equals the original stream, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from projections import wire
from projections.warehouse.reader import rfc3339
from schemas.api.error import StreamError, StreamErrorChunk
from schemas.api.turn import (
    AgentTurnResponseEvent,
    AgentTurnResponsePayload,
    AgentTurnResponseStepCompletePayload,
    AgentTurnResponseStepProgressPayload,
    AgentTurnResponseStepStartPayload,
    AgentTurnResponseStreamChunk,
    AgentTurnResponseTurnAwaitingInputPayload,
    AgentTurnResponseTurnCompletePayload,
    AgentTurnResponseTurnStartPayload,
    ContentDelta,
    InferenceStep,
    ShieldCallStep,
    Step,
    StepType,
    TextDelta,
    ToolCallDelta,
    ToolExecutionStep,
    Turn,
    TurnOutcome,
)
from schemas.events.base import Damaged, Event
from schemas.events.payload import CompletionMessage, ToolCall
from schemas.events.turn import (
    StreamTrace,
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
)
from stack.domain import turn as turns
from stack.domain.stream_position import StreamPosition
from stack.domain.turn import TurnState
from stack.domain.turn_action import arguments_are_json
from stack.domain.turn_step import StepState
from stack.runs.live import Frame, framed

_encode = msgspec.json.Encoder().encode

_STEP_TYPES: dict[str, StepType] = {
    "inference": "inference",
    "tool_execution": "tool_execution",
    "memory_retrieval": "memory_retrieval",
    "shield_call": "shield_call",
}
"""The kinds of step that are shown. A newer release may have stored others."""


def step_wire(turn_id: str, step: StepState) -> Step | None:
    """Returns the step in the contract's form; None for a kind that this release does not know."""
    if step.step_type == "tool_execution":
        return ToolExecutionStep(
            turn_id=turn_id,
            step_id=step.step_id,
            started_at=rfc3339(step.started_at),
            completed_at=rfc3339(step.completed_at),
            tool_calls=wire.tool_calls(step.tool_calls),
            tool_responses=wire.tool_responses(step.tool_responses),
        )
    if step.step_type == "memory_retrieval" and step.inserted_context is not None:
        times = rfc3339(step.started_at), rfc3339(step.completed_at)
        return wire.memory_retrieval(turn_id, step.step_id, times, step.vector_db_ids, step.inserted_context)
    if step.step_type == "shield_call":
        return ShieldCallStep(
            turn_id=turn_id,
            step_id=step.step_id,
            started_at=rfc3339(step.started_at),
            completed_at=rfc3339(step.completed_at),
            violation=None if step.violation is None else wire.violation(step.violation),
        )
    if step.step_type != "inference" or step.output is None:
        return None
    return InferenceStep(
        turn_id=turn_id,
        step_id=step.step_id,
        started_at=rfc3339(step.started_at),
        completed_at=rfc3339(step.completed_at),
        model_response=wire.completion(step.output),
    )


def turn_wire(turn_id: str, state: TurnState) -> Turn:
    """Returns the turn in the contract's form: its finished steps, and always an output message."""
    return Turn(
        turn_id=turn_id,
        session_id=state.session_id,
        input_messages=wire.input_messages(state.input_messages),
        steps=[shown for step in state.finished_steps if (shown := step_wire(turn_id, step)) is not None],
        output_message=wire.completion(state.output_message),
        started_at=rfc3339(state.started_at),
        completed_at=rfc3339(state.completed_at) if state.completed_at else None,
    )


def outcome_wire(state: TurnState) -> TurnOutcome:
    return TurnOutcome(
        status=state.status,
        usage=wire.usage(state.usage),
        error=wire.error(state.error),
        agent_version=state.agent_version or None,
    )


class _TextChunks:
    """Renders the chunks of text of one step. Most frames are such chunks, and what is around their texts is the same: to
    encode all of it for each takes three times as long."""

    def __init__(self, step_id: str, version: int) -> None:
        self.step_id = step_id
        empty = AgentTurnResponseStepProgressPayload("inference", step_id, TextDelta(""))
        whole = framed(
            StreamPosition(version, 0), _encode(AgentTurnResponseStreamChunk(AgentTurnResponseEvent(empty)))
        )
        self._version = version
        self._id = b"id: %d." % version
        self._head, self._tail = whole.body.removeprefix(self._id + b"0").split(b'""')

    def frame(self, number: int, text: str, delay_ms: int) -> Frame:
        body = b"%b%d%b%b%b" % (self._id, number, self._head, _encode(text), self._tail)
        return Frame(StreamPosition(self._version, number), delay_ms, body)

    def frames(self, trace: StreamTrace, text: str) -> Iterator[Frame]:
        """Yields the frames of an answer of text alone."""
        start = 0
        for number, (length, delay_ms) in enumerate(zip(trace.lengths, trace.delays_ms, strict=True), 1):
            end = start + length
            yield self.frame(number, text[start:end], delay_ms)
            start = end


class TurnFrames:
    """Folds a turn's events and renders the frames of each."""

    def __init__(self, turn_id: str) -> None:
        self.turn_id = turn_id
        self.state = TurnState()
        self._begun: dict[str, int] = {}
        self._text_chunks: _TextChunks | None = None
        self._unknown_begun = 0
        """The version of the last start of a step that is damaged: it does not say of which step."""

    def apply(self, event: Event, recorded_at: int, version: int, *, live: bool) -> list[Frame]:
        """Returns the frames of one recorded event. With `live` the chunks of its answer were already
        sent."""
        return list(self.each(event, recorded_at, version, live=live))

    def each(self, event: Event, recorded_at: int, version: int, *, live: bool) -> Iterator[Frame]:
        """Yields what `apply` returns: an answer may have a million chunks."""
        likely = turns.stand_in(self.state, event) if isinstance(event, Damaged) else None
        if isinstance(event, Damaged) and event.name == "turn.step_started":
            self._unknown_begun = version
        self.state = turns.evolve(self.state, event, recorded_at, version)
        event = likely or event
        match event:
            case TurnStarted():
                yield self._frame(version, AgentTurnResponseTurnStartPayload(self.turn_id))
            case TurnStepStarted():
                self._begun[event.step_id] = version
                if (kind := _STEP_TYPES.get(event.step_type)) is not None:
                    metadata = {"touchpoint": event.touchpoint} if event.touchpoint else None
                    begun = AgentTurnResponseStepStartPayload(kind, event.step_id, metadata)
                    yield self._frame(version, begun)
            case TurnStepCompleted():
                step = next(step for step in self.state.steps if step.step_id == event.step_id)
                kind, details = _STEP_TYPES.get(event.step_type), step_wire(self.turn_id, step)
                if kind is None or details is None:
                    return
                if not live:
                    yield from self._chunks(event)
                done = AgentTurnResponseStepCompletePayload(kind, event.step_id, details)
                yield self._frame(version, done)
            case TurnStepFailed():
                if not live:
                    yield from self._chunks(event)
            case TurnAwaitingInput():
                whole = turn_wire(self.turn_id, self.state)
                yield self._frame(version, AgentTurnResponseTurnAwaitingInputPayload(whole))
            case TurnCompleted() | TurnCancelled() | TurnAbandoned():
                whole = turn_wire(self.turn_id, self.state)
                yield self._frame(version, AgentTurnResponseTurnCompletePayload(whole))
            case TurnFailed(error=error):
                chunk = StreamErrorChunk(StreamError(error.status, error.title, error.detail, error.detail))
                yield framed(StreamPosition(version, 0), _encode(chunk))

    def text(self, step_id: str, number: int, text: str, delay_ms: int) -> Frame:
        """Returns the frame of the `number`-th chunk (from 1) of a running step's answer."""
        return self._texts(step_id).frame(number, text, delay_ms)

    def call_fragment(self, step_id: str, number: int, arguments: str, delay_ms: int) -> Frame:
        """Returns the frame of a part of a tool call's arguments."""
        return self._progress(step_id, number, ToolCallDelta(arguments, "in_progress"), delay_ms)

    def call(self, step_id: str, number: int, call: ToolCall, delay_ms: int) -> Frame:
        """Returns the frame of a whole tool call: `succeeded` if its arguments are a JSON object."""
        status = "succeeded" if arguments_are_json(call) else "failed"
        return self._progress(step_id, number, ToolCallDelta(wire.tool_call(call), status), delay_ms)  # type: ignore[arg-type]

    def _chunks(self, event: TurnStepCompleted | TurnStepFailed) -> Iterator[Frame]:
        if event.trace is None or event.output is None:
            return
        trace = event.trace
        if trace.calls is None and min(trace.lengths, default=0) >= 0:
            yield from self._texts(event.step_id).frames(trace, _text(event.output))
            return
        calls = event.output.tool_calls or []
        texts = [_text(event.output), *(call.arguments for call in calls)]
        taken = [0] * len(texts)
        sources = trace.calls or [-1] * len(trace.lengths)
        for number, (length, delay_ms, index) in enumerate(
            zip(trace.lengths, trace.delays_ms, sources, strict=True), 1
        ):
            if length < 0:
                yield self.call(event.step_id, number, calls[index], delay_ms)
                continue
            start = taken[index + 1]
            taken[index + 1] = start + length
            piece = texts[index + 1][start : start + length]
            render = self.text if index < 0 else self.call_fragment
            yield render(event.step_id, number, piece, delay_ms)

    def _texts(self, step_id: str) -> _TextChunks:
        chunks = self._text_chunks
        if chunks is None or chunks.step_id != step_id:
            version = self._begun.get(step_id, self._unknown_begun)
            chunks = self._text_chunks = _TextChunks(step_id, version)
        return chunks

    def _progress(self, step_id: str, number: int, delta: ContentDelta, delay_ms: int) -> Frame:
        payload = AgentTurnResponseStepProgressPayload("inference", step_id, delta)
        return self._frame(self._begun.get(step_id, self._unknown_begun), payload, number, delay_ms)

    def _frame(
        self, version: int, payload: AgentTurnResponsePayload, number: int = 0, delay_ms: int = 0
    ) -> Frame:
        chunk = AgentTurnResponseStreamChunk(AgentTurnResponseEvent(payload))
        return framed(StreamPosition(version, number), _encode(chunk), delay_ms)


def _text(message: CompletionMessage | None) -> str:
    return message.content if message is not None and isinstance(message.content, str) else ""
