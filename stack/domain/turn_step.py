"""Steps of a turn."""

from __future__ import annotations

from msgspec import Struct

from schemas.events.payload import CompletionMessage, ToolCall, ToolResponse, TurnError
from schemas.events.turn import StreamTrace


class StepState(Struct, frozen=True, kw_only=True):
    """One step. An inference has `output`, a tool execution `tool_calls` and `tool_responses`; for a failed
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
    error: TurnError | None = None
