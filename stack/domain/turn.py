"""Turns: the state that their events fold to, and how they are started, resumed and broken off."""

from __future__ import annotations

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
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnEffectSettled,
    TurnFailed,
    TurnInputReceived,
    TurnInputRequested,
    TurnRestarted,
    TurnResumed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
    TurnToolCalled,
    TurnToolReturned,
    TurnToolsResolved,
    TurnToolSuspended,
)
from stack.domain.damaged_turn import likely_event
from stack.domain.tool_call import (
    UNKNOWN_OUTCOME,
    Calls,
    Requests,
    decision_in,
    evolve_calls,
    evolve_requests,
    responses_of,
    undecided,
)
from stack.domain.turn_step import StepState, begun, completed
from stack.errors import Conflict, Invalid

NOT_EXECUTED = "The call was not executed."
WITHHELD = "The result is withheld."
NOTHING_YET = CompletionMessage(content="", stop_reason="end_of_message")


class TurnState(Struct, frozen=True, kw_only=True):
    """A turn. Times are microseconds since 1970, 0 if not reached yet. `steps` holds every step that was
    started; `calls` the calls of the server's tools and `requests` the decisions that they need, both by the id of the
    call. `input_shields` are the ids of the shields that judge what the model reads. `agent_version` is the version of the
    agent with which it runs, 0 if that is damaged. `tools_digest` identifies the tools of the server that are recorded for
    the turn, which are those of the turn `tools_of` ("" is this one). `is_damaged` means that some of its events cannot be
    read, and the state is built from the others; `is_copy` that its events were copied from another turn, and it has not
    run itself since."""

    session_id: str = ""
    agent_id: str = ""
    agent_version: int = 0
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
    input_shields: tuple[str, ...] = ()
    steps: tuple[StepState, ...] = ()
    calls: Calls = {}
    requests: Requests = {}
    tools_digest: str = ""
    tools_of: str = ""
    output_message: CompletionMessage = NOTHING_YET
    error: TurnError | None = None
    usage: TurnUsage = TurnUsage()
    is_damaged: bool = False
    is_copy: bool = False

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
    def open_tool_step(self) -> StepState | None:
        """The execution of server-side tools that has started and has not ended: it runs, or waits for decisions."""
        last = self.steps[-1] if self.steps else None
        if last is None or last.step_type != "tool_execution" or last.completed_at or not last.tool_calls:
            return None
        return last if last.error is None else None

    @property
    def inferences(self) -> int:
        """The number of inferences that have ended, across restarts and resumes."""
        return sum(1 for step in self.finished_steps if step.step_type == "inference")


def evolve(state: TurnState, event: Event, recorded_at: int, version: int) -> TurnState:
    match event:
        case TurnStarted():
            return _started(event, recorded_at)
        case TurnToolsResolved():
            return replace(state, tools_digest=event.digest, tools_of=event.same_as)
        case TurnRestarted():
            # The time in which the original turn ran does not count for a copy.
            since = recorded_at if state.is_copy and not event.occurred_at else state.running_since
            is_copy = state.is_copy and bool(event.occurred_at)
            return replace(
                state, owner=event.owner, attempt=event.attempt, running_since=since, is_copy=is_copy
            )
        case TurnStepStarted():
            return replace(state, steps=(*state.steps, begun(event, recorded_at)))
        case TurnStepCompleted():
            return _step_completed(state, event, recorded_at)
        case TurnStepFailed():
            steps = _with_step(
                state, event.step_id, output=event.output, trace=event.trace, error=event.error
            )
            return replace(state, steps=steps)
        case TurnToolCalled() | TurnToolReturned():
            return replace(state, calls=evolve_calls(state.calls, event))
        case TurnToolSuspended():
            # Its next question is another request.
            requests = {call_id: one for call_id, one in state.requests.items() if call_id != event.call_id}
            return replace(state, calls=evolve_calls(state.calls, event), requests=requests)
        case TurnEffectSettled():
            return _settled(state, event)
        case TurnInputRequested() | TurnInputReceived():
            return replace(state, requests=evolve_requests(state.requests, event))
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
    return likely_event(damaged, produced(state), waiting_output(state), state.attempt)


def _started(event: TurnStarted, recorded_at: int) -> TurnState:
    return TurnState(
        session_id=event.session_id,
        agent_id=event.agent_id,
        agent_version=event.agent_version or (1 if event.agent_id else 0),  # agents had one version before
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
        input_shields=tuple(event.input_shields or ()),
        is_copy=bool(event.occurred_at),
    )


def _step_completed(state: TurnState, event: TurnStepCompleted, recorded_at: int) -> TurnState:
    if all(step.step_id != event.step_id for step in state.steps):
        # Its start is damaged.
        start = TurnStepStarted(step_id=event.step_id, step_type=event.step_type, attempt=state.attempt)
        state = replace(state, steps=(*state.steps, begun(start, recorded_at)))
    steps = tuple(
        completed(step, event, recorded_at) if step.step_id == event.step_id else step for step in state.steps
    )
    return replace(state, steps=steps, usage=state.usage.plus(event.usage or TurnUsage()))


def _settled(state: TurnState, event: TurnEffectSettled) -> TurnState:
    """The settled result takes the place of the unknown one also in its step, from where later turns see it. The result of
    another call is not seen if there are input shields, because they have not judged it."""
    content = WITHHELD if state.input_shields and event.decision == "retry" else event.content

    def settled(response: ToolResponse) -> ToolResponse:
        if response.call_id != event.call_id:
            return response
        return replace(response, content=content)

    steps = tuple(
        replace(step, tool_responses=tuple(map(settled, step.tool_responses)))
        if any(one.call_id == event.call_id for one in step.tool_responses)
        else step
        for step in state.steps
    )
    return replace(state, steps=steps, calls=evolve_calls(state.calls, event))


def _with_step(state: TurnState, step_id: str, **changes: object) -> tuple[StepState, ...]:
    return tuple(replace(step, **changes) if step.step_id == step_id else step for step in state.steps)


def _closed(state: TurnState, status: TurnStatus, recorded_at: int, output: CompletionMessage) -> TurnState:
    return replace(state, status=status, completed_at=recorded_at, output_message=output)


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
    resumed = TurnResumed(owner=owner, fetched=fetched or None)
    if state.open_tool_step is not None:
        return [resumed, *(decision_in(one, state.requests[one.call_id]) for one in responses)]
    return [
        resumed,
        *executed(step_id, state.attempt, calls, responses),
    ]


def check_responses(state: TurnState, responses: list[ToolResponse]) -> tuple[ToolCall, ...]:
    """Returns the calls that the responses answer. Raises Conflict if the turn is not waiting, Invalid unless
    the responses answer exactly the awaited calls."""
    if state.status != "awaiting_input":
        raise Conflict(f"The turn does not await tool responses; it is {state.status}.")
    calls = awaited_calls(state)
    waiting = {call.call_id: call for call in calls}
    given: set[str] = set()
    for index, response in enumerate(responses):
        where = f"tool_responses[{index}].call_id"
        if response.call_id in given:
            raise Invalid(f"{where} is {response.call_id!r} for the second time; answer each call once.")
        if response.call_id not in waiting:
            raise Invalid(
                f"{where} is {response.call_id!r}, which is not pending. Pending: {listed(waiting)}."
            )
        given.add(response.call_id)
    missing = [call_id for call_id in waiting if call_id not in given]
    if missing:
        raise Invalid(f"tool_responses does not answer {listed(missing)}; all pending calls need an answer.")
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


def awaited_calls(state: TurnState) -> tuple[ToolCall, ...]:
    """Returns the calls that a waiting turn waits for: those that need a decision, otherwise the client's."""
    if state.open_tool_step is not None:
        asked = [one.asked for one in undecided(state.requests)]
        return tuple(ToolCall(one.call_id, one.tool_name, one.arguments) for one in asked)
    return pending_calls(state)


def broken_off(state: TurnState) -> list[Event]:
    """Returns the end of an open execution of tools in a turn that ends early: the results so far are kept, and of a
    call without one it is said that its outcome is unknown, or that it was not executed. With input shields no result is
    kept, because they have not judged it."""
    step = state.open_tool_step
    if step is None:
        return []
    lost: list[Event] = [
        TurnToolReturned(
            call_id=call.call_id, tool_name=call.tool_name, status="unknown", content=UNKNOWN_OUTCOME
        )
        for call in state.calls.values()
        if call.step_id == step.step_id and call.status == "called"
    ]
    responses = responses_of(step.tool_calls, state.calls, NOT_EXECUTED)
    return [
        *lost,
        TurnStepCompleted(
            step_id=step.step_id,
            step_type="tool_execution",
            tool_calls=list(step.tool_calls),
            tool_responses=withheld(responses) if state.input_shields else responses,
        ),
    ]


def withheld(responses: Iterable[ToolResponse]) -> list[ToolResponse]:
    """Returns responses without the results of their tools."""
    return [replace(one, content=WITHHELD, metadata=None) for one in responses]


def pending_calls(state: TurnState) -> tuple[ToolCall, ...]:
    """Returns the calls of the last inference that have no response yet, in the model's order."""
    calls: dict[str, ToolCall] = {}
    for step in state.finished_steps:
        if step.step_type == "inference":
            calls = {call.call_id: call for call in (step.output and step.output.tool_calls) or ()}
        for response in step.tool_responses:
            calls.pop(response.call_id, None)
    return tuple(calls.values())


def waiting_output(state: TurnState) -> CompletionMessage:
    """Returns the output of a turn that awaits input: the calls, and the text that the model sent with
    them."""
    inferences = [step.output for step in state.finished_steps if step.step_type == "inference"]
    content = inferences[-1].content if inferences and inferences[-1] else ""
    calls = list(awaited_calls(state))
    return CompletionMessage(content=content, stop_reason="end_of_message", tool_calls=calls)


def produced(state: TurnState) -> CompletionMessage:
    """Returns what the turn has produced so far, as the output of a turn that ends early."""
    text = ""
    for step in state.steps:
        if step.output is not None and isinstance(step.output.content, str) and step.output.content:
            text = step.output.content
    return CompletionMessage(content=text, stop_reason="end_of_turn")


def listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "") or "none"
