"""The effects of a turn, answered from its record: no model, no tool, no shield, no clock, no socket.

A result is found by the id of its step or its call. The runner is given the recorded ids in their order, so as long as it
does what it did, it asks for what is recorded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from schemas.events.base import Event
from schemas.events.payload import CompletionMessage, TurnUsage, Violation
from schemas.events.turn import (
    StreamTrace,
    TurnInputRequested,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
    TurnToolCalled,
    TurnToolReturned,
    TurnToolSuspended,
)
from stack.domain.tool_call import UNKNOWN_OUTCOME
from stack.errors import UpstreamFailed
from stack.providers.inference.port import (
    Finished,
    FinishReason,
    InferenceEvent,
    InferenceProvider,
    InferenceRequest,
    Opened,
    ReasoningChunk,
    TextChunk,
    ToolCallChunk,
)
from stack.providers.retrieval.port import Passage, Text
from stack.providers.shields.port import Shield, ShieldRequest
from stack.providers.tools.port import NestedCall, Suspended, ToolQuestion, ToolRequest, ToolResult
from stack.services.effects import Captured, new_id
from stack.services.tools.tool_set import ServerTool

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_of_turn": "stop",
    "out_of_tokens": "length",
    "end_of_message": "tool_calls",
}
OTHERS_WAIT_S = 1.0
"""How long a call without a recorded result lets those that run at the same time record theirs."""


class NotRecorded(BaseException):
    """The runner asks for a result that is not in the record. Not an `Exception`: no part of the runner handles it."""


class RecordedEffects:
    """Implements `Effects` for a part of a turn: `events` are those that the runner recorded in it."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._ids = deque(_ids(events))
        self._steps: dict[str, TurnStepCompleted | TurnStepFailed] = {}
        self._kinds: dict[str, str] = {}
        self._outcomes: dict[str, deque[TurnToolReturned | TurnToolSuspended]] = {}
        self._unseen: set[int] = set()
        for event in events:
            match event:
                case TurnStepStarted():
                    self._kinds[event.step_id] = event.step_type
                case TurnStepCompleted() | TurnStepFailed():
                    self._steps[event.step_id] = event
                case TurnToolCalled():
                    self._outcomes.setdefault(event.call_id, deque())
                case TurnToolReturned() | TurnToolSuspended():
                    self._outcomes.setdefault(event.call_id, deque()).append(event)
        self._clock_ms = 0.0
        self._delays: deque[int] = deque()

    def now_ms(self) -> float:
        """Advances by the recorded delay of the next chunk."""
        if self._delays:
            self._clock_ms += self._delays.popleft()
        return self._clock_ms

    def now_us(self) -> int:
        return 0

    def new_id(self) -> str:
        return self._ids.popleft() if self._ids else new_id()

    async def infer(
        self,
        provider: InferenceProvider,
        request: InferenceRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> AsyncGenerator[InferenceEvent, None]:
        step = self._step(labels, "inference")
        self._delays = deque(step.trace.delays_ms if step.trace else ())
        yield Opened()
        if step.reasoning:
            yield ReasoningChunk(step.reasoning)
        output = step.output
        if isinstance(step, TurnStepCompleted) and step.withheld is not None:
            output = step.withheld
        if output is not None:
            for chunk in chunks_of(output, step.trace):
                yield chunk
        if isinstance(step, TurnStepFailed) or output is None:
            raise NotRecorded
        yield Finished(
            FINISH_REASONS.get(output.stop_reason, "stop"),
            step.usage or TurnUsage(),
            response_id=step.response_id,
            response_model=step.response_model,
        )

    async def retrieve(
        self, query: str, documents: Sequence[Text], labels: Mapping[str, str]
    ) -> list[Passage]:
        step = self._step(labels, "memory_retrieval")
        if isinstance(step, TurnStepFailed):
            raise NotRecorded
        return passages_of(step, documents)

    async def check(self, shield: Shield, request: ShieldRequest, touchpoint: str) -> Violation | None:
        step = self._step(request.labels, "shield_call")
        if isinstance(step, TurnStepFailed):
            raise NotRecorded
        return objection_of(shield, step.violation)

    async def call_tool(
        self,
        tool: ServerTool,
        call_id: str,
        request: ToolRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> ToolResult | Suspended:
        recorded = self._outcomes.get(call_id)
        if not recorded or _is_lost(recorded[0]):
            await self._others_have_returned()
            raise NotRecorded
        return outcome_of(recorded.popleft())

    async def _others_have_returned(self) -> None:
        """Returns when no call that runs at the same time has a recorded result left."""
        end = asyncio.get_running_loop().time() + OTHERS_WAIT_S
        while any(queue and not _is_lost(queue[0]) for queue in self._outcomes.values()):
            if asyncio.get_running_loop().time() > end:
                return
            await asyncio.sleep(0)
        # The last one is taken, and is recorded in the next steps of its task.
        for _ in range(20):
            await asyncio.sleep(0)

    def _step(self, labels: Mapping[str, str], kind: str) -> TurnStepCompleted | TurnStepFailed:
        step_id = labels.get("step_id", "")
        step = self._steps.get(step_id)
        if step is None or self._kinds.get(step_id) != kind:
            raise NotRecorded
        return step


def _ids(events: Sequence[Event]) -> list[str]:
    found = []
    for event in events:
        match event:
            case TurnStepStarted(step_id=step_id):
                found.append(step_id)
            case TurnInputRequested(request_id=request_id):
                found.append(request_id)
    return found


def _is_lost(event: TurnToolReturned | TurnToolSuspended) -> bool:
    """Returns whether the call was cut off: its outcome was recorded without it."""
    return (
        isinstance(event, TurnToolReturned) and event.status == "unknown" and event.content == UNKNOWN_OUTCOME
    )


def objection_of(shield: Shield, violation: Violation | None) -> Violation | None:
    """Returns the recorded objection to a text if it was that of this shield."""
    if violation is None:
        return None
    objecting = (violation.metadata or {}).get("shield_id", shield.id)
    return violation if objecting == shield.id else None


def outcome_of(event: TurnToolReturned | TurnToolSuspended) -> ToolResult | Suspended:
    """Returns what a tool returned when an event was recorded. Raises UpstreamFailed for a result that was lost."""
    match event:
        case TurnToolReturned(status="unknown", content=content):
            raise UpstreamFailed(str(content).removeprefix(UNKNOWN_OUTCOME).lstrip())
        case TurnToolReturned():
            return ToolResult(content=event.content, is_error=event.status != "done", metadata=event.metadata)
        case TurnToolSuspended():
            question = event.question
            return Suspended(
                state=event.state,
                calls=[
                    NestedCall(tool=one.tool_name, arguments=msgspec.json.decode(one.arguments))
                    for one in event.calls or ()
                ],
                question=None
                if question is None
                else ToolQuestion(message=str(question.get("message", "")), request=question),
            )


def passages_of(step: TurnStepCompleted, documents: Sequence[Text]) -> list[Passage]:
    """Returns the passages that a retrieval found, with their text from the documents."""
    texts = {document.id: document.text for document in documents}
    return [
        Passage(
            document_id=one.document_id,
            start=one.start,
            end=one.end,
            score=one.score,
            text=texts.get(one.document_id, "")[one.start : one.end],
            collection=one.collection,
        )
        for one in step.sources or ()
    ]


def chunks_of(output: CompletionMessage, trace: StreamTrace | None) -> list[InferenceEvent]:
    """Returns the chunks in which an answer arrived; without a trace, all of its text and each call at once."""
    text = output.content if isinstance(output.content, str) else ""
    calls = output.tool_calls or []
    if trace is None:
        whole: list[InferenceEvent] = [TextChunk(text)] if text else []
        return whole + [
            ToolCallChunk(index, call.call_id, call.tool_name, call.arguments)
            for index, call in enumerate(calls)
        ]
    chunks: list[InferenceEvent] = []
    texts = [text, *(call.arguments for call in calls)]
    taken = [0] * len(texts)
    begun: set[int] = set()
    sources = trace.calls or [-1] * len(trace.lengths)
    for length, index in zip(trace.lengths, sources, strict=True):
        start = taken[index + 1]
        piece = "" if length < 0 else texts[index + 1][start : start + length]
        taken[index + 1] += len(piece)
        if index < 0:
            chunks.append(TextChunk(piece))
        elif index not in begun:
            begun.add(index)
            chunks.append(ToolCallChunk(index, calls[index].call_id, calls[index].tool_name, piece))
        elif length >= 0:
            chunks.append(ToolCallChunk(index, arguments=piece))
    return chunks
