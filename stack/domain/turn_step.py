"""Steps of a turn."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from schemas.events.payload import CompletionMessage, Content, ToolCall, ToolResponse, TurnError
from schemas.events.turn import StreamTrace


class StepState(Struct, frozen=True, kw_only=True):
    """One step. An inference has `output`, a tool execution `tool_calls` and `tool_responses`, a
    memory retrieval `inserted_context` and the `vector_db_ids` that were searched; for a failed
    step `output` is what was produced before the failure. `completed_at` is 0 until the step has
    succeeded."""

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


def retrieval_in(steps: Iterable[StepState]) -> StepState | None:
    """Returns the finished step that retrieved passages of the turn's long documents."""
    found = [step for step in steps if step.step_type == "memory_retrieval" and step.completed_at]
    return found[-1] if found else None
