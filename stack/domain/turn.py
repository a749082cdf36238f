"""Turns: the state that their events fold to, and the next action of a turn."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

from schemas.api.turn import TurnStatus
from schemas.events.base import Damaged, Event
from schemas.events.payload import (
    AgentTool,
    CompletionMessage,
    Document,
    InputMessage,
    ToolCall,
    ToolConfig,
    ToolResponse,
    TurnError,
    TurnUsage,
)
from schemas.events.turn import (
    FetchedContent,
    Owner,
    StreamTrace,
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnRestarted,
    TurnResumed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
)
from stack.domain.damaged_turn import likely_event
from stack.errors import Conflict, Invalid, NotFound

NOTHING_YET = CompletionMessage(content="", stop_reason="end_of_message")


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


class TurnState(Struct, frozen=True, kw_only=True):
    """A turn. Times are microseconds since 1970, 0 if not reached yet. `steps` holds every step that was
    started. `is_damaged` means that some of its events cannot be read, and the state is built from the
    others."""

    session_id: str = ""
    agent_id: str = ""
    owner: Owner = Owner("", "")
    attempt: int = 0
    status: TurnStatus = "running"
    stream: bool = False
    trace_id: str = ""
    started_at: int = 0
    running_since: int = 0
    completed_at: int = 0
    input_messages: tuple[InputMessage, ...] = ()
    documents: tuple[Document, ...] = ()
    fetched: tuple[FetchedContent, ...] = ()
    toolgroups: tuple[AgentTool, ...] = ()
    tool_config: ToolConfig | None = None
    steps: tuple[StepState, ...] = ()
    output_message: CompletionMessage = NOTHING_YET
    error: TurnError | None = None
    usage: TurnUsage = TurnUsage()
    is_damaged: bool = False

    def has_output_since(self, since: int) -> bool:
        """Returns whether an inference started at `since` (microseconds since 1970) or later has produced
        output."""
        return any(
            step.completed_at or (step.trace and step.trace.lengths)
            for step in self.steps
            if step.step_type == "inference" and step.started_at >= since
        )

    @property
    def finished_steps(self) -> tuple[StepState, ...]:
        return tuple(step for step in self.steps if step.completed_at)

    @property
    def inferences(self) -> int:
        """The number of inferences that have ended, across restarts and resumes."""
        return sum(1 for step in self.finished_steps if step.step_type == "inference")


def evolve(state: TurnState, event: Event, recorded_at: int, version: int) -> TurnState:
    match event:
        case TurnStarted():
            return _started(event, recorded_at)
        case TurnRestarted():
            return replace(state, owner=event.owner, attempt=event.attempt)
        case TurnStepStarted():
            step = StepState(
                step_id=event.step_id,
                step_type=event.step_type,
                attempt=event.attempt,
                started_at=recorded_at,
            )
            return replace(state, steps=(*state.steps, step))
        case TurnStepCompleted():
            return _step_completed(state, event, recorded_at)
        case TurnStepFailed():
            steps = _with_step(
                state, event.step_id, output=event.output, trace=event.trace, error=event.error
            )
            return replace(state, steps=steps)
        case TurnAwaitingInput():
            return replace(state, status="awaiting_input", output_message=event.output_message)
        case TurnResumed():
            return replace(
                state,
                status="running",
                owner=event.owner,
                running_since=recorded_at,
                fetched=(*state.fetched, *(event.fetched or ())),
                output_message=NOTHING_YET,
            )
        case TurnCompleted():
            return _closed(state, "completed", recorded_at, event.output_message)
        case TurnFailed():
            return replace(_closed(state, "failed", recorded_at, event.output_message), error=event.error)
        case TurnCancelled():
            return _closed(state, "cancelled", recorded_at, event.output_message)
        case TurnAbandoned():
            return _closed(state, "abandoned", recorded_at, event.output_message)
        case Damaged():
            likely = stand_in(state, event)
            whole = evolve(state, likely, recorded_at, version) if likely is not None else state
            return replace(whole, is_damaged=True)
    return state


def stand_in(state: TurnState, damaged: Damaged) -> Event | None:
    """Returns what takes the place of a damaged event of the turn; None for an event of a step."""
    return likely_event(damaged, produced(state), _waiting(state), state.attempt)


def _started(event: TurnStarted, recorded_at: int) -> TurnState:
    return TurnState(
        session_id=event.session_id,
        agent_id=event.agent_id,
        owner=event.owner,
        attempt=1,
        stream=event.stream,
        trace_id=event.trace_id,
        started_at=recorded_at,
        running_since=recorded_at,
        input_messages=tuple(event.input_messages),
        documents=tuple(event.documents or ()),
        fetched=tuple(event.fetched or ()),
        toolgroups=tuple(event.toolgroups or ()),
        tool_config=event.tool_config,
    )


def _step_completed(state: TurnState, event: TurnStepCompleted, recorded_at: int) -> TurnState:
    if all(step.step_id != event.step_id for step in state.steps):
        # Its start is damaged.
        begun = StepState(
            step_id=event.step_id, step_type=event.step_type, attempt=state.attempt, started_at=recorded_at
        )
        state = replace(state, steps=(*state.steps, begun))
    return replace(
        state,
        steps=_with_step(
            state,
            event.step_id,
            completed_at=recorded_at,
            output=event.output,
            trace=event.trace,
            tool_calls=tuple(event.tool_calls or ()),
            tool_responses=tuple(event.tool_responses or ()),
        ),
        usage=state.usage.plus(event.usage or TurnUsage()),
    )


def _with_step(state: TurnState, step_id: str, **changes: object) -> tuple[StepState, ...]:
    return tuple(replace(step, **changes) if step.step_id == step_id else step for step in state.steps)


def _closed(state: TurnState, status: TurnStatus, recorded_at: int, output: CompletionMessage) -> TurnState:
    return replace(state, status=status, completed_at=recorded_at, output_message=output)


def existing(state: TurnState, session_id: str, turn_id: str) -> TurnState:
    """Returns the turn. Raises NotFound if it never existed, was redacted, belongs to another session, or has a damaged
    start and its ids were not filled in."""
    if not state.started_at or state.session_id != session_id:
        raise NotFound(f"There is no turn {turn_id!r} in session {session_id!r}.")
    return state


def start(event: TurnStarted, pending: Collection[str]) -> list[Event]:
    """Raises Invalid for input that cannot start a turn. `pending` are the ids of the calls that the
    session's waiting turn left open; a tool response in the input answers one of them."""
    answered: set[str] = set()
    for index, message in enumerate(event.input_messages):
        if message.role == "tool" and message.call_id is not None:
            if message.call_id not in pending or message.call_id in answered:
                raise Invalid(
                    f"messages[{index}].call_id is {message.call_id!r}, which no tool call of this session "
                    "waits for. Leave the message out."
                )
            answered.add(message.call_id)
    if not answered and not any(message.role == "user" for message in event.input_messages):
        raise Invalid("messages has no user message; a turn begins with at least one.")
    return [event]


def restart(state: TurnState, owner: Owner) -> list[Event]:
    if state.status != "running":
        raise Conflict(f"The turn is {state.status}.")
    return [TurnRestarted(owner=owner, attempt=state.attempt + 1)]


def resume(
    state: TurnState,
    responses: list[ToolResponse],
    owner: Owner,
    step_id: str,
    fetched: list[FetchedContent] | None = None,
) -> list[Event]:
    """Returns the events that resume a waiting turn. `fetched` is the content of URLs in the responses.
    Raises the errors of `check_responses`."""
    calls = check_responses(state, responses)
    return [
        TurnResumed(owner=owner, fetched=fetched or None),
        *executed(step_id, state.attempt, calls, responses),
    ]


def check_responses(state: TurnState, responses: list[ToolResponse]) -> tuple[ToolCall, ...]:
    """Returns the calls that the responses answer. Raises Conflict if the turn is not waiting, Invalid unless
    the responses answer exactly the pending calls."""
    if state.status != "awaiting_input":
        raise Conflict(f"The turn does not await tool responses; it is {state.status}.")
    calls = pending_calls(state)
    waiting = {call.call_id: call for call in calls}
    given: set[str] = set()
    for index, response in enumerate(responses):
        where = f"tool_responses[{index}].call_id"
        if response.call_id in given:
            raise Invalid(f"{where} is {response.call_id!r} for the second time; answer each call once.")
        if response.call_id not in waiting:
            raise Invalid(
                f"{where} is {response.call_id!r}, which is not pending. Pending: {_listed(waiting)}."
            )
        given.add(response.call_id)
    missing = [call_id for call_id in waiting if call_id not in given]
    if missing:
        raise Invalid(f"tool_responses does not answer {_listed(missing)}; all pending calls need an answer.")
    return calls


def executed(
    step_id: str, attempt: int, calls: Iterable[ToolCall], responses: Iterable[ToolResponse]
) -> list[Event]:
    """Returns the two events of a tool execution step whose result is known."""
    return [
        TurnStepStarted(step_id=step_id, step_type="tool_execution", attempt=attempt),
        TurnStepCompleted(
            step_id=step_id,
            step_type="tool_execution",
            tool_calls=list(calls),
            tool_responses=list(responses),
        ),
    ]


def pending_calls(state: TurnState) -> tuple[ToolCall, ...]:
    """Returns the calls of the last inference that have no response yet, in the model's order."""
    calls: dict[str, ToolCall] = {}
    for step in state.finished_steps:
        if step.step_type == "inference":
            calls = {call.call_id: call for call in (step.output and step.output.tool_calls) or ()}
        for response in step.tool_responses:
            calls.pop(response.call_id, None)
    return tuple(calls.values())


class Infer(Struct, frozen=True):
    """Call the model."""


class Respond(Struct, frozen=True):
    """Answer calls that cannot be run; the model is given the reason."""

    calls: tuple[ToolCall, ...]
    responses: tuple[ToolResponse, ...]


class Await(Struct, frozen=True):
    """The client has to run tools; `output` holds the calls."""

    output: CompletionMessage


class Complete(Struct, frozen=True):
    output: CompletionMessage


Next = Infer | Respond | Await | Complete


def next_action(state: TurnState, tools: Collection[str], max_infer_iters: int) -> Next:
    """Returns the next action of a running turn. `tools` are the names of the tools that the client runs."""
    last = state.finished_steps[-1] if state.finished_steps else None
    if last is None:
        return Infer()
    if last.step_type == "inference":
        assert last.output is not None
        calls = pending_calls(state)
        if not calls or last.output.stop_reason == "out_of_tokens":
            return Complete(_without_calls(last.output, last.output.stop_reason))
        if state.inferences >= max_infer_iters:
            return Complete(_without_calls(last.output, "out_of_tokens"))
    refused = [(call, problem) for call in pending_calls(state) if (problem := _problem(call, tools))]
    if refused:
        return Respond(
            tuple(call for call, _ in refused),
            tuple(ToolResponse(call.call_id, call.tool_name, problem) for call, problem in refused),
        )
    if pending_calls(state):
        return Await(_waiting(state))
    if state.inferences >= max_infer_iters:
        return Complete(CompletionMessage(content=produced(state).content, stop_reason="out_of_tokens"))
    return Infer()


def _waiting(state: TurnState) -> CompletionMessage:
    """Returns the output of a turn that awaits input: the calls, and the text that the model sent with
    them."""
    inferences = [step.output for step in state.finished_steps if step.step_type == "inference"]
    content = inferences[-1].content if inferences and inferences[-1] else ""
    calls = list(pending_calls(state))
    return CompletionMessage(content=content, stop_reason="end_of_message", tool_calls=calls)


def _problem(call: ToolCall, tools: Collection[str]) -> str:
    if call.tool_name not in tools:
        return f"Error: there is no tool {call.tool_name!r}. Tools: {_listed(tools)}."
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


def produced(state: TurnState) -> CompletionMessage:
    """Returns what the turn has produced so far, as the output of a turn that ends early."""
    text = ""
    for step in state.steps:
        if step.output is not None and isinstance(step.output.content, str) and step.output.content:
            text = step.output.content
    return CompletionMessage(content=text, stop_reason="end_of_turn")


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "") or "none"
