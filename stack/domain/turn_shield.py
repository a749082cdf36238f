"""Shields in a turn: which text they still have to judge, and which they refused."""

from __future__ import annotations

from msgspec.structs import replace

from stack.domain.shield import refuses
from stack.domain.turn import TurnState, withheld
from stack.domain.turn_step import StepState

USER_INPUT = "user-input"
RETRIEVED_TEXT = "retrieved-text"
TOOL_RESULT = "tool-result"
ASSISTANT_OUTPUT = "assistant-output"


def refusal(state: TurnState) -> StepState | None:
    """Returns the step in which a shield refused a text, which ends the turn."""
    return next((step for step in state.finished_steps if refuses(step.violation)), None)


def passed(state: TurnState, touchpoint: str) -> bool:
    """Returns whether the shields have let the text of a touchpoint pass."""
    return any(step.touchpoint == touchpoint and not refuses(step.violation) for step in state.finished_steps)


def input_passed(state: TurnState) -> bool:
    """Returns whether a model may read the input of the turn: its messages and documents."""
    if not state.input_shields:
        return True
    refused = refusal(state)
    if refused is not None and refused.touchpoint in (USER_INPUT, RETRIEVED_TEXT):
        return False
    return passed(state, USER_INPUT) and (not state.documents or passed(state, RETRIEVED_TEXT))


def unjudged(state: TurnState) -> str:
    """Returns the touchpoint of the text that a model would read next and that the input shields have not judged;
    empty if there is none."""
    if not state.input_shields:
        return ""
    if not passed(state, USER_INPUT):
        return USER_INPUT
    last = state.finished_steps[-1]
    if last.step_type == "tool_execution":
        return TOOL_RESULT
    retrieved = state.documents or last.step_type == "memory_retrieval"
    return RETRIEVED_TEXT if retrieved and not passed(state, RETRIEVED_TEXT) else ""


def judged_steps(state: TurnState) -> tuple[StepState, ...]:
    """Returns the finished steps without text that a model must not read: answers that were refused, and the results of
    tools that were refused or are not judged yet, of which the calls remain."""
    steps = state.finished_steps
    kept = []
    for step, after in zip(steps, (*steps[1:], None), strict=False):
        if step.step_type == "tool_execution" and state.input_shields:
            if after is None or after.touchpoint != TOOL_RESULT or refuses(after.violation):
                step = replace(step, tool_responses=tuple(withheld(step.tool_responses)))
            kept.append(step)
        elif not step.is_withheld:
            kept.append(step)
    return tuple(kept)
