"""The next action of a turn, decided from its recorded state."""

from __future__ import annotations

import json
from collections.abc import Collection

from msgspec import Struct

from schemas.events.payload import CompletionMessage, ToolCall, ToolResponse
from stack.domain.turn import TurnState, listed, pending_calls, produced, waiting_output
from stack.domain.turn_shield import USER_INPUT, refusal, unjudged
from stack.domain.turn_step import retrieval_in

NO_SUCH_TOOL = "Error: there is no tool"
"""The beginning of the response to a call of an unknown tool."""


class Shield(Struct, frozen=True):
    """Let the input shields judge the text that the model would read next."""

    touchpoint: str


class Retrieve(Struct, frozen=True):
    """Look for passages in the documents with these numbers (from 1), which are too long for the context."""

    documents: tuple[int, ...]


class Infer(Struct, frozen=True):
    """Call the model."""


class Respond(Struct, frozen=True):
    """Answer calls that cannot be run; the model is given the reason."""

    calls: tuple[ToolCall, ...]
    responses: tuple[ToolResponse, ...]


class Execute(Struct, frozen=True):
    """Run tools of the server: continue an open step (`step_id`), or begin one (empty)."""

    step_id: str
    calls: tuple[ToolCall, ...]


class Await(Struct, frozen=True):
    """The client has to run tools; `output` holds the calls."""

    output: CompletionMessage


class Complete(Struct, frozen=True):
    output: CompletionMessage


Next = Shield | Retrieve | Infer | Respond | Execute | Await | Complete


def next_action(
    state: TurnState,
    tools: Collection[str],
    max_infer_iters: int,
    server_tools: Collection[str] = (),
    long_documents: tuple[int, ...] = (),
) -> Next:
    """Returns the next action of a running turn. `tools` are the names of the tools that the client runs,
    `server_tools` those that the server runs: these come first if a response calls both. `long_documents` are retrieved
    before the first inference."""
    if (step := state.open_tool_step) is not None:
        return Execute(step.step_id, step.tool_calls)
    if (objection := refusal(state)) is not None:
        assert objection.violation is not None
        return Complete(
            CompletionMessage(content=objection.violation.user_message, stop_reason="end_of_turn")
        )
    touchpoint = unjudged(state)
    if touchpoint == USER_INPUT:
        return Shield(touchpoint)
    if long_documents and retrieval_in(state.steps) is None and not state.inferences:
        return Retrieve(long_documents)
    if touchpoint:
        return Shield(touchpoint)
    last = next((step for step in reversed(state.finished_steps) if step.step_type != "shield_call"), None)
    if last is None:
        return Infer()
    if last.step_type == "inference":
        assert last.output is not None
        calls = pending_calls(state)
        if not calls or last.output.stop_reason == "out_of_tokens":
            return Complete(_without_calls(last.output, last.output.stop_reason))
        if state.inferences >= max_infer_iters:
            return Complete(_without_calls(last.output, "out_of_tokens"))
    known = (*tools, *server_tools)
    pending = pending_calls(state)
    if any(call.tool_name in server_tools for call in pending):
        return Execute(
            "", tuple(call for call in pending if call.tool_name not in tools or problem_of(call, known))
        )
    refused = [(call, problem) for call in pending if (problem := problem_of(call, known))]
    if refused:
        return Respond(
            tuple(call for call, _ in refused),
            tuple(ToolResponse(call.call_id, call.tool_name, problem) for call, problem in refused),
        )
    if pending:
        return Await(waiting_output(state))
    if state.inferences >= max_infer_iters:
        return Complete(CompletionMessage(content=produced(state).content, stop_reason="out_of_tokens"))
    return Infer()


def problem_of(call: ToolCall, tools: Collection[str]) -> str:
    """Returns why a call cannot be run, for the model; empty if it can."""
    if call.tool_name not in tools:
        return f"{NO_SUCH_TOOL} {call.tool_name!r}. Tools: {listed(tools)}."
    if not arguments_are_json(call):
        return f"Error: the arguments are not a JSON object: {call.arguments[:200]}. Call the tool again."
    return ""


def arguments_are_json(call: ToolCall) -> bool:
    try:
        return isinstance(json.loads(call.arguments, parse_constant=_refuse), dict)
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> None:
    """Refuses NaN and Infinity, which Python parses but JSON does not have."""
    raise ValueError(constant)


def _without_calls(output: CompletionMessage, reason: str) -> CompletionMessage:
    reason = "end_of_turn" if reason == "end_of_message" else reason
    return CompletionMessage(content=output.content, stop_reason=reason)
