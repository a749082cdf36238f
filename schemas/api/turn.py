"""Turns, their steps and the chunks of a streamed turn (spec tag: Agents)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.agent import AgentTool, ToolConfig
from schemas.api.content import (
    CompletionMessage,
    InputMessage,
    InterleavedContent,
    ToolCall,
)

StepType = Literal["inference", "tool_execution", "shield_call", "memory_retrieval"]
TurnStatus = Literal["running", "awaiting_input", "completed", "failed", "cancelled", "abandoned"]


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """A document given to a turn. `content` is text, interleaved content, or a URL object."""

    content: Any
    mime_type: str
    document_id: str | None = None
    metadata: dict[str, Any] | None = None


class CreateAgentTurnRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    messages: list[InputMessage]
    stream: bool | None = None
    documents: list[Document] | None = None
    toolgroups: list[AgentTool] | None = None
    tool_config: ToolConfig | None = None


class ToolResponse(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    call_id: str
    tool_name: str
    content: InterleavedContent
    metadata: dict[str, Any] | None = None


class ResumeAgentTurnRequest(Struct, frozen=True, forbid_unknown_fields=True):
    tool_responses: list[ToolResponse]
    stream: bool | None = None


class SafetyViolation(Struct, frozen=True, omit_defaults=True):
    violation_level: Literal["info", "warn", "error"]
    metadata: dict[str, Any]
    user_message: str | None = None


class InferenceStep(
    Struct, frozen=True, tag_field="step_type", tag="inference", omit_defaults=True, kw_only=True
):
    turn_id: str
    step_id: str
    started_at: str
    completed_at: str | None = None
    model_response: CompletionMessage


class ToolExecutionStep(
    Struct, frozen=True, tag_field="step_type", tag="tool_execution", omit_defaults=True, kw_only=True
):
    turn_id: str
    step_id: str
    started_at: str
    completed_at: str | None = None
    tool_calls: list[ToolCall]
    tool_responses: list[ToolResponse]


class ShieldCallStep(
    Struct, frozen=True, tag_field="step_type", tag="shield_call", omit_defaults=True, kw_only=True
):
    turn_id: str
    step_id: str
    started_at: str
    completed_at: str | None = None
    violation: SafetyViolation | None = None


class MemoryRetrievalStep(
    Struct, frozen=True, tag_field="step_type", tag="memory_retrieval", omit_defaults=True, kw_only=True
):
    turn_id: str
    step_id: str
    started_at: str
    completed_at: str | None = None
    vector_db_ids: str
    inserted_context: InterleavedContent


Step = InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep


class AgentStepResponse(Struct, frozen=True):
    step: Step


class Turn(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A turn. `output_message` is always present; while the turn runs, its content is empty."""

    turn_id: str
    session_id: str
    input_messages: list[InputMessage]
    steps: list[Step]
    output_message: CompletionMessage
    started_at: str
    completed_at: str | None = None


class TurnUsage(Struct, frozen=True, omit_defaults=True):
    """Tokens of all inferences of the turn, as the models reported them. A count that no model reported is
    absent."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class TurnError(Struct, frozen=True):
    """Why a turn failed, in the same words as the error response to its caller."""

    status: int
    title: str
    detail: str


class TurnOutcome(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a turn ended. Not part of the Llama Stack specification: `GET .../turn/{turn_id}/outcome`. `agent_version` is the
    version of the agent with which it runs, absent if its record is damaged."""

    status: TurnStatus
    usage: TurnUsage
    error: TurnError | None = None
    agent_version: int | None = None


class TextDelta(Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class ImageDelta(Struct, frozen=True, tag_field="type", tag="image"):
    image: str


class ToolCallDelta(Struct, frozen=True, tag_field="type", tag="tool_call"):
    tool_call: str | ToolCall
    parse_status: Literal["started", "in_progress", "failed", "succeeded"]


ContentDelta = TextDelta | ImageDelta | ToolCallDelta


class AgentTurnResponseTurnStartPayload(Struct, frozen=True, tag_field="event_type", tag="turn_start"):
    turn_id: str


class AgentTurnResponseStepStartPayload(
    Struct, frozen=True, tag_field="event_type", tag="step_start", omit_defaults=True
):
    step_type: StepType
    step_id: str
    metadata: dict[str, Any] | None = None


class AgentTurnResponseStepProgressPayload(Struct, frozen=True, tag_field="event_type", tag="step_progress"):
    step_type: StepType
    step_id: str
    delta: ContentDelta


class AgentTurnResponseStepCompletePayload(Struct, frozen=True, tag_field="event_type", tag="step_complete"):
    step_type: StepType
    step_id: str
    step_details: Step


class AgentTurnResponseTurnCompletePayload(Struct, frozen=True, tag_field="event_type", tag="turn_complete"):
    turn: Turn


class AgentTurnResponseTurnAwaitingInputPayload(
    Struct, frozen=True, tag_field="event_type", tag="turn_awaiting_input"
):
    turn: Turn


AgentTurnResponsePayload = (
    AgentTurnResponseTurnStartPayload
    | AgentTurnResponseStepStartPayload
    | AgentTurnResponseStepProgressPayload
    | AgentTurnResponseStepCompletePayload
    | AgentTurnResponseTurnCompletePayload
    | AgentTurnResponseTurnAwaitingInputPayload
)


class AgentTurnResponseEvent(Struct, frozen=True):
    payload: AgentTurnResponsePayload


class AgentTurnResponseStreamChunk(Struct, frozen=True):
    event: AgentTurnResponseEvent
