"""Creates spans for the tools of a turn.

Server-side tools run under their spans. Client tools run at the client, which measures them; their spans record
that a result was received, and in which step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
from opentelemetry.util.types import AttributeValue

from schemas.events.base import Event
from schemas.events.payload import ToolCall, ToolResponse
from schemas.events.turn import TurnStepCompleted
from stack.domain.turn import TurnState
from stack.providers.tools.port import ToolRequest
from stack.services.tools.tool_set import ServerTool
from telemetry.own import conventions as names
from telemetry.own import message_content
from telemetry.own.invocation import Invocation
from telemetry.own.tracing import ActiveSpan, Tracing

FUNCTION = "function"
"""The value of `gen_ai.tool.type` for a tool that runs at the client."""
EXTENSION = "extension"
"""The value of `gen_ai.tool.type` for a tool that runs at the server."""
NOT_EXECUTED = "not_executed"
"""The value of `error.type` for a call that was answered without running a tool."""
MAX_CHARACTERS = 64 * 1024
"""Maximum length in characters of arguments and of a result, if these are captured at all."""


def execution_span(
    tracing: Tracing, tool: ServerTool, call_id: str, request: ToolRequest, labels: Mapping[str, str]
) -> ActiveSpan:
    """Returns the span of a call of a server-side tool."""
    attributes: dict[str, AttributeValue] = {
        **labels,
        names.GEN_AI_OPERATION_NAME: names.EXECUTE_TOOL,
        names.GEN_AI_TOOL_NAME: tool.name,
        names.GEN_AI_TOOL_CALL_ID: call_id,
        names.GEN_AI_TOOL_TYPE: EXTENSION,
        "replaystack.toolgroup": tool.toolgroup,
        "replaystack.effect": request.key,
    }
    if message_content.is_captured():
        attributes[message_content.TOOL_ARGUMENTS] = _text(request.arguments)[:MAX_CHARACTERS]
    return tracing.span(f"{names.EXECUTE_TOOL} {tool.name}", attributes=attributes)


def show_result(span: ActiveSpan, content: object) -> None:
    """Adds the result to the span of its call, if contents are captured."""
    if message_content.is_captured():
        span.set(message_content.TOOL_RESULT, _text(content)[:MAX_CHARACTERS])


def show_tools(
    tracing: Tracing,
    events: Sequence[Event],
    labels: Mapping[str, str],
    error_type: str = "",
    executed: Collection[str] = (),
    shows_results: bool = True,
) -> None:
    """Creates one `execute_tool` span under the current one for each call that these events answer. `labels`
    identify the turn; with `error_type` nothing was executed, except for the calls in `executed`, which have spans of their own.
    Results that shields have not judged yet are not shown (`shows_results`)."""
    for event in events:
        if isinstance(event, TurnStepCompleted) and event.step_type == "tool_execution":
            calls = {call.call_id: call for call in event.tool_calls or ()}
            for response in event.tool_responses or ():
                if response.call_id in executed:
                    continue
                own = {**labels, "step_id": event.step_id}
                with _span(tracing, calls.get(response.call_id), response, own, shows_results) as span:
                    if error_type:
                        span.fail(error_type)


def measure_tools(
    invocation: Invocation, state: TurnState, events: Sequence[Event], executed: bool = True
) -> None:
    """Counts the tool calls that these events, which are in `state`, answer. An `executed` call lasted from
    the end of the step that requested it to its result."""
    for event in events:
        if isinstance(event, TurnStepCompleted) and event.step_type == "tool_execution":
            duration_s = _duration_s(state, event.step_id) if executed else None
            for response in event.tool_responses or ():
                if response.call_id not in state.calls:
                    invocation.tool_called(response.tool_name, FUNCTION, duration_s)


def _duration_s(state: TurnState, step_id: str) -> float | None:
    asked_at = 0
    for step in state.steps:
        if step.step_id == step_id:
            return max(0, step.completed_at - asked_at) / 1e6 if asked_at else None
        asked_at = step.completed_at
    return None


def _span(
    tracing: Tracing,
    call: ToolCall | None,
    response: ToolResponse,
    labels: Mapping[str, str],
    shows_result: bool,
) -> ActiveSpan:
    attributes: dict[str, AttributeValue] = {
        **labels,
        names.GEN_AI_OPERATION_NAME: names.EXECUTE_TOOL,
        names.GEN_AI_TOOL_NAME: response.tool_name,
        names.GEN_AI_TOOL_CALL_ID: response.call_id,
        names.GEN_AI_TOOL_TYPE: FUNCTION,
    }
    if message_content.is_captured():
        if shows_result:
            attributes[message_content.TOOL_RESULT] = _text(response.content)[:MAX_CHARACTERS]
        if call is not None:
            attributes[message_content.TOOL_ARGUMENTS] = _text(call.arguments)[:MAX_CHARACTERS]
    return tracing.span(f"{names.EXECUTE_TOOL} {response.tool_name}", attributes=attributes)


def _text(content: object) -> str:
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()
