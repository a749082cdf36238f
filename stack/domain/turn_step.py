"""Steps of a turn."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from schemas.events.payload import (
    CompletionMessage,
    Content,
    ToolCall,
    ToolResponse,
    TurnError,
    Violation,
)
from schemas.events.turn import StreamTrace, TurnStepCompleted, TurnStepStarted


class StepState(Struct, frozen=True, kw_only=True):
    """One step. An inference has `output`, a tool execution `tool_calls` and `tool_responses`, a
    memory retrieval `inserted_context` and the `vector_db_ids` that were searched; for a failed
    step `output` is what was produced before the failure. `completed_at` is 0 until the step has
    succeeded. A shield call has its `touchpoint`, and a `violation` if a shield objected; `is_withheld` means that an output
    shield refused the answer of an inference."""

    step_id: str
    step_type: str
    attempt: int
    started_at: int
    completed_at: int = 0
    output: CompletionMessage | None = None
    trace: StreamTrace | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_responses: tuple[ToolResponse, ...] = ()
    inserted_context: Content | None = None
    vector_db_ids: tuple[str, ...] = ()
    error: TurnError | None = None
    touchpoint: str = ""
    violation: Violation | None = None
    is_withheld: bool = False


def retrieval_in(steps: Iterable[StepState]) -> StepState | None:
    """Returns the finished step that retrieved passages of the turn's long documents."""
    found = [step for step in steps if step.step_type == "memory_retrieval" and step.completed_at]
    return found[-1] if found else None


def begun(event: TurnStepStarted, recorded_at: int) -> StepState:
    return StepState(
        step_id=event.step_id,
        step_type=event.step_type,
        attempt=event.attempt,
        started_at=recorded_at,
        tool_calls=tuple(event.tool_calls or ()),
        touchpoint=event.touchpoint,
    )


def completed(step: StepState, event: TurnStepCompleted, recorded_at: int) -> StepState:
    return replace(
        step,
        completed_at=recorded_at,
        output=event.output,
        trace=event.trace,
        tool_calls=tuple(event.tool_calls or ()),
        tool_responses=tuple(event.tool_responses or ()),
        inserted_context=event.inserted_context,
        vector_db_ids=tuple(event.vector_db_ids or ()),
        violation=event.violation,
        is_withheld=event.withheld is not None,
    )
