"""The results of a session's tools, approvals and shields, found by what was asked instead of by ids."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeVar

from schemas.events.base import Event
from schemas.events.payload import CompletionMessage, ToolCall, ToolResponse
from schemas.events.turn import (
    TurnInputReceived,
    TurnInputRequested,
    TurnStepCompleted,
    TurnToolCalled,
    TurnToolReturned,
    TurnToolSuspended,
)
from schemas.session_file import Tolerance
from stack.services.replay.tolerance import arguments_key

Outcome = TurnToolReturned | TurnToolSuspended
Key = tuple[str, bytes]
T = TypeVar("T")


class RecordedResults:
    """The results of all turns of a session, by the tool's name and its canonical arguments, without the values that
    `tolerance` ignores. Those of equal calls are given in their order; the last one again if there are more calls."""

    def __init__(self, turns: Iterable[Sequence[Event]], tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._outcomes: dict[Key, deque[list[Outcome]]] = {}
        self._responses: dict[Key, deque[ToolResponse]] = {}
        self._decisions: dict[Key, deque[TurnInputReceived]] = {}
        for events in turns:
            self._take(events)

    def _take(self, events: Sequence[Event]) -> None:
        calls: dict[str, tuple[Key, list[Outcome]]] = {}
        asked: dict[str, Key] = {}
        outputs: dict[str, ToolCall] = {}
        for event in events:
            match event:
                case TurnToolCalled() if event.call_id not in calls:
                    outcomes: list[Outcome] = []
                    key = self.key(event.tool_name, event.arguments)
                    calls[event.call_id] = (key, outcomes)
                    self._outcomes.setdefault(key, deque()).append(outcomes)
                case TurnToolReturned() | TurnToolSuspended() if event.call_id in calls:
                    calls[event.call_id][1].append(event)
                case TurnInputRequested():
                    asked[event.request_id] = self.key(event.tool_name, event.arguments)
                case TurnInputReceived() if event.request_id in asked:
                    self._decisions.setdefault(asked[event.request_id], deque()).append(event)
                case TurnStepCompleted(step_type="inference", output=CompletionMessage() as output):
                    outputs |= {call.call_id: call for call in output.tool_calls or ()}
                case TurnStepCompleted(step_type="tool_execution"):
                    for response in event.tool_responses or ():
                        if (call := outputs.get(response.call_id)) and response.call_id not in calls:
                            key = self.key(call.tool_name, call.arguments)
                            self._responses.setdefault(key, deque()).append(response)

    def key(self, tool: str, arguments: str) -> Key:
        return tool, arguments_key(arguments, self._tolerance)

    def next_call(self, tool: str, arguments: str) -> deque[Outcome] | None:
        """Returns what a call of the server's tool gave, from its beginning; None if it is not recorded, or its result was
        lost."""
        outcomes = _next(self._outcomes.get(self.key(tool, arguments)))
        if not outcomes or _is_lost(outcomes[-1]):
            return None
        return deque(outcomes)

    def response(self, call: ToolCall) -> ToolResponse | None:
        """Returns the response of a client's tool."""
        return _next(self._responses.get(self.key(call.tool_name, call.arguments)))

    def decision(self, asked: TurnInputRequested) -> TurnInputReceived | None:
        return _next(self._decisions.get(self.key(asked.tool_name, asked.arguments)))

    def examples(self, tool: str, most: int) -> list[tuple[str, str]]:
        """Returns arguments and results of recorded calls of a tool."""
        return [
            (arguments.decode("utf-8", "replace"), str(outcomes[-1].content))
            for (name, arguments), calls in self._outcomes.items()
            for outcomes in calls
            if name == tool and outcomes and isinstance(outcomes[-1], TurnToolReturned)
        ][:most]


def _next(queue: deque[T] | None) -> T | None:
    if not queue:
        return None
    return queue.popleft() if len(queue) > 1 else queue[0]


def _is_lost(event: Outcome) -> bool:
    return isinstance(event, TurnToolReturned) and event.status == "unknown"
