"""Lets shields judge the texts of a turn, and records their verdicts as steps.

A verdict on what a caller sent is recorded before anything is decided from it. A verdict on an answer, on passages, or on
results of the server's tools is recorded in one append with the text that it lets pass, or without that text: until then
no one sees the text, and after a crash it is judged again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from schemas.events.base import Event
from schemas.events.payload import CompletionMessage, Content, ToolResponse, Violation
from schemas.events.turn import TurnStepCompleted, TurnStepStarted
from stack.domain.shield import refuses
from stack.domain.turn import withheld
from stack.domain.turn_shield import ASSISTANT_OUTPUT, RETRIEVED_TEXT, TOOL_RESULT
from stack.off_loop import off_loop_if
from stack.providers.shields.port import ShieldMessage, ShieldRequest
from stack.services.effects import Effects
from stack.services.safety.judging import judge
from stack.services.turns.conversation import document_texts
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn_plan import TurnPlan

LARGE_CHARACTERS = 65_536
"""Longer arguments of calls are decoded outside of the event loop's thread."""


class ShieldStep:
    """The shields of one turn. All methods raise the errors of `judge`."""

    def __init__(self, turn: RunningTurn, plan: TurnPlan, effects: Effects) -> None:
        self._turn = turn
        self._plan = plan
        self._effects = effects

    def begin(self, touchpoint: str) -> TurnStepStarted:
        return TurnStepStarted(
            step_id=self._effects.new_id(),
            step_type="shield_call",
            attempt=self._turn.state.attempt,
            touchpoint=touchpoint,
        )

    async def on_input(self, begun: TurnStepStarted) -> TurnStepCompleted:
        """Judges what the model would read next, with the input shields. Returns the end of the step."""
        state = self._turn.state
        match begun.touchpoint:
            case "user-input":
                texts = self._said()
            case "retrieved-text":
                texts = document_texts(state)
            case _:
                texts = _response_texts(state.finished_steps[-1].tool_responses)
        violation = await self._input_verdict(texts, begun.step_id, begun.touchpoint)
        return _end(begun, violation)

    async def on_results(self, responses: Sequence[ToolResponse]) -> tuple[list[ToolResponse], list[Event]]:
        """Judges results of the server's tools. Returns the responses, without refused results, and the step."""
        if not self._plan.input_shields:
            return list(responses), []
        begun = self.begin(TOOL_RESULT)
        violation = await self._input_verdict(_response_texts(responses), begun.step_id, TOOL_RESULT)
        passing = withheld(responses) if refuses(violation) else list(responses)
        return passing, [begun, _end(begun, violation)]

    async def on_passages(self, passages: str, documents: Sequence[int]) -> tuple[str, list[Event]]:
        """Judges what the model will read of documents: passages of those with these numbers, and the others. Returns
        the passages, empty if they are refused, and the step."""
        if not self._plan.input_shields:
            return passages, []
        begun = self.begin(RETRIEVED_TEXT)
        texts = [passages, *document_texts(self._turn.state, documents)]
        violation = await self._input_verdict(texts, begun.step_id, RETRIEVED_TEXT)
        return "" if refuses(violation) else passages, [begun, _end(begun, violation)]

    async def on_output(self, output: CompletionMessage) -> tuple[Violation | None, list[Event]]:
        """Judges an answer, with the output shields. Returns the verdict and its step."""
        begun = self.begin(ASSISTANT_OUTPUT)
        is_large = sum(len(call.arguments) for call in output.tool_calls or ()) > LARGE_CHARACTERS
        texts = await off_loop_if(is_large, _output_texts, output)
        request = ShieldRequest(
            checked=[ShieldMessage("assistant", text) for text in texts if text],
            context=[ShieldMessage("user", text) for text in self._said() if text],
            labels=self._labels(begun.step_id),
        )
        violation = await judge(self._effects, self._plan.output_shields, request, ASSISTANT_OUTPUT)
        return violation, [begun, _end(begun, violation)]

    async def _input_verdict(self, texts: Iterable[str], step_id: str, touchpoint: str) -> Violation | None:
        checked = [ShieldMessage("user", text) for text in texts if text]
        request = ShieldRequest(checked=checked, labels=self._labels(step_id))
        return await judge(self._effects, self._plan.input_shields, request, touchpoint)

    def _labels(self, step_id: str) -> dict[str, str]:
        return {**self._plan.labels, "step_id": step_id}

    def _said(self) -> list[str]:
        """Returns the texts of the input messages: of users, and of responses of tools."""
        said = []
        for message in self._turn.state.input_messages:
            said += [_text(message.content), _text(message.context or "")]
        return said


def _end(begun: TurnStepStarted, violation: Violation | None) -> TurnStepCompleted:
    return TurnStepCompleted(step_id=begun.step_id, step_type=begun.step_type, violation=violation)


def _text(content: Content) -> str:
    """Returns the text of a content; shields do not see images."""
    if isinstance(content, str):
        return content
    items = content if isinstance(content, list) else [content]
    return "\n".join(item.text for item in items if item.text)


def _response_texts(responses: Iterable[ToolResponse]) -> list[str]:
    return [_text(one.content) for one in responses]


def _output_texts(output: CompletionMessage) -> list[str]:
    """Returns the text of an answer, and the names and arguments of its calls. Escapes in arguments hide nothing: then
    the texts in them are added."""
    texts = [_text(output.content)]
    for call in output.tool_calls or ():
        texts.append(f"{call.tool_name} {call.arguments}")
        if "\\" in call.arguments:
            try:
                texts += _strings(json.loads(call.arguments, object_pairs_hook=list))
            except (ValueError, RecursionError):
                # Not JSON: the call is refused, and no tool sees it.
                continue
    return texts


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [text for one in value for text in _strings(one)]
    return []
