"""Turns: given(events).when(command).then(events or refusal), and what has to happen next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.events.base import Event
from schemas.events.payload import (
    CompletionMessage,
    InputMessage,
    ToolCall,
    ToolResponse,
    TurnError,
    TurnUsage,
)
from schemas.events.turn import (
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
from stack.domain import turn as turns
from stack.domain import turn_session as turn_sessions
from stack.domain.turn import NOTHING_YET, TurnState
from stack.domain.turn_action import Await, Complete, Infer, Respond, next_action
from stack.errors import Conflict, Invalid, NotFound

OWNER = Owner("node", "boot")
NEXT_OWNER = Owner("node", "boot-2")
STARTED = TurnStarted(
    session_id="s",
    agent_id="a",
    owner=OWNER,
    input_messages=[InputMessage(role="user", content="What now?")],
    stream=True,
)
TOOLS = {"weather", "clock"}
ERROR = TurnError(502, "Bad Gateway", "The model server closed the connection.")


def given(*events: Event) -> TurnState:
    """Event number n is recorded at 1,000 n."""
    state = TurnState()
    for version, event in enumerate(events, 1):
        state = turns.evolve(state, event, version * 1_000, version)
    return state


def begun(step_id: str, step_type: str = "inference", attempt: int = 1) -> TurnStepStarted:
    return TurnStepStarted(step_id=step_id, step_type=step_type, attempt=attempt)


def call(call_id: str, name: str = "weather", arguments: str = '{"city":"Oslo"}') -> ToolCall:
    return ToolCall(call_id, name, arguments)


def answered(step_id: str, *calls: ToolCall, text: str = "", reason: str | None = None) -> list[Event]:
    """An inference, from its beginning to its end."""
    message = CompletionMessage(
        content=text,
        stop_reason=reason or ("end_of_message" if calls else "end_of_turn"),
        tool_calls=list(calls) or None,
    )
    done = TurnStepCompleted(
        step_id=step_id,
        step_type="inference",
        output=message,
        usage=TurnUsage(7, 3),
        trace=StreamTrace([], []),
    )
    return [begun(step_id), done]


def response(call_id: str, content: str = "rain") -> ToolResponse:
    return ToolResponse(call_id, "weather", content)


def waiting(*calls: ToolCall) -> list[Event]:
    """The events of a turn that awaits the responses to `calls`."""
    awaits = next_action(given(STARTED, *answered("i1", *calls)), TOOLS, 10)
    assert isinstance(awaits, Await)
    return [STARTED, *answered("i1", *calls), TurnAwaitingInput(output_message=awaits.output)]


def output(text: str, reason: str = "end_of_turn") -> CompletionMessage:
    return CompletionMessage(content=text, stop_reason=reason)


def test_a_turn_that_started() -> None:
    state = given(STARTED)
    assert (state.status, state.attempt, state.owner) == ("running", 1, OWNER)
    assert (state.started_at, state.running_since, state.completed_at) == (1_000, 1_000, 0)
    assert state.input_messages == (InputMessage(role="user", content="What now?"),)
    assert state.output_message == NOTHING_YET
    assert turn_sessions.existing(state, "s", "t") is state


def test_steps_keep_their_times_outputs_and_usage() -> None:
    state = given(
        STARTED, *answered("i1", call("c1")), *turns.executed("x1", 1, [call("c1")], [response("c1")])
    )
    inference, execution = state.finished_steps
    assert (inference.started_at, inference.completed_at) == (2_000, 3_000)
    assert (execution.started_at, execution.completed_at) == (4_000, 5_000)
    assert execution.tool_calls == (call("c1"),) and execution.tool_responses == (response("c1"),)
    assert (state.usage, state.inferences) == (TurnUsage(7, 3), 1)


def test_a_failed_step_keeps_what_it_had_produced_and_is_not_finished() -> None:
    failed = TurnStepFailed(
        step_id="i1",
        step_type="inference",
        error=ERROR,
        output=output("Half an"),
        trace=StreamTrace([7], [0]),
    )
    state = given(STARTED, begun("i1"), failed, TurnFailed(error=ERROR, output_message=output("Half an")))
    assert state.finished_steps == () and state.inferences == 0
    assert state.steps[0].error == ERROR
    assert (state.status, state.error, state.completed_at) == ("failed", ERROR, 4_000)
    assert turns.produced(state) == output("Half an")


def test_a_restart_has_a_new_owner_and_keeps_the_finished_steps() -> None:
    state = given(STARTED, *answered("i1", call("c1", "nothing")), TurnRestarted(owner=NEXT_OWNER, attempt=2))
    assert (state.owner, state.attempt, state.status) == (NEXT_OWNER, 2, "running")
    assert [step.step_id for step in state.finished_steps] == ["i1"]
    assert state.running_since == 1_000, "its deadline counts from the first start"


def test_awaiting_and_resuming() -> None:
    events = waiting(call("c1"))
    state = given(*events)
    assert state.status == "awaiting_input" and state.completed_at == 0
    assert state.output_message.tool_calls == [call("c1")]
    resumed = given(*events, TurnResumed(owner=NEXT_OWNER))
    assert (resumed.status, resumed.owner, resumed.running_since) == ("running", NEXT_OWNER, 5_000)
    assert resumed.output_message == NOTHING_YET


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (TurnCompleted(output_message=output("done")), "completed"),
        (TurnFailed(error=ERROR, output_message=output("done")), "failed"),
        (TurnCancelled(reason="enough", output_message=output("done")), "cancelled"),
        (TurnAbandoned(output_message=output("done")), "abandoned"),
    ],
)
def test_the_four_ends(event: Event, status: str) -> None:
    state = given(STARTED, event)
    assert (state.status, state.completed_at, state.output_message) == (status, 2_000, output("done"))


def test_a_turn_is_changed_in_its_own_session_only() -> None:
    with pytest.raises(NotFound):
        turn_sessions.existing(given(), "s", "t")
    turn_sessions.check_recorded_in(given(STARTED), "s")
    with pytest.raises(Conflict, match="belongs to session 's'"):
        turn_sessions.check_recorded_in(given(STARTED), "another session")


def test_what_is_next_at_each_point_of_a_turn() -> None:
    assert next_action(given(STARTED), TOOLS, 10) == Infer()
    said = given(STARTED, *answered("i1", text="Rain."))
    assert next_action(said, TOOLS, 10) == Complete(output("Rain."))
    asked = [STARTED, *answered("i1", call("c1"), call("c2", "clock"), text="Let me see.")]
    awaited = CompletionMessage(
        content="Let me see.", stop_reason="end_of_message", tool_calls=[call("c1"), call("c2", "clock")]
    )
    assert next_action(given(*asked), TOOLS, 10) == Await(awaited)
    half = [*asked, *turns.executed("x1", 1, [call("c1")], [response("c1")])]
    rest = next_action(given(*half), TOOLS, 10)
    assert isinstance(rest, Await) and rest.output.tool_calls == [call("c2", "clock")]
    whole = [*half, *turns.executed("x2", 1, [call("c2", "clock")], [response("c2")])]
    assert next_action(given(*whole), TOOLS, 10) == Infer()


def test_a_step_that_broke_off_is_done_again() -> None:
    interrupted = given(STARTED, begun("i1"), TurnRestarted(owner=NEXT_OWNER, attempt=2))
    assert next_action(interrupted, TOOLS, 10) == Infer()


def test_at_the_limit_of_inferences_a_turn_completes_without_calls() -> None:
    events: list[Event] = [STARTED, *answered("i1", call("c1"), text="Let me see.")]
    assert next_action(given(*events), TOOLS, 1) == Complete(output("Let me see.", "out_of_tokens"))
    events += turns.executed("x1", 1, [call("c1")], [response("c1")])
    assert next_action(given(*events), TOOLS, 2) == Infer()
    events += answered("i2", call("c1"), text="Once more.")
    assert isinstance(next_action(given(*events), TOOLS, 3), Await)
    assert next_action(given(*events), TOOLS, 2) == Complete(output("Once more.", "out_of_tokens"))
    final = [*events[:5], *answered("i2", text="Rain.")]
    assert next_action(given(*final), TOOLS, 2) == Complete(output("Rain.")), "an answer is no overrun"


def test_a_limit_that_was_passed_already_still_ends_the_turn() -> None:
    events = [*waiting(call("c1")), TurnResumed(owner=OWNER)]
    events += turns.executed("x1", 1, [call("c1")], [response("c1")])
    last = next_action(given(*events), TOOLS, 1)
    assert isinstance(last, Complete)
    assert last.output.stop_reason == "out_of_tokens" and last.output.tool_calls is None


def test_an_answer_that_was_cut_completes_without_its_calls() -> None:
    events = [STARTED, *answered("i1", call("c1"), text="Let", reason="out_of_tokens")]
    assert next_action(given(*events), TOOLS, 10) == Complete(output("Let", "out_of_tokens"))


def test_an_answer_that_calls_for_nothing_ends_its_turn() -> None:
    """`end_of_message` without a call would make the client's helper stop without a word."""
    events = [STARTED, *answered("i1", text="Done.", reason="end_of_message")]
    assert next_action(given(*events), TOOLS, 10) == Complete(output("Done."))


@pytest.mark.parametrize(
    ("refused", "mentions"),
    [
        (call("c1", "oracle"), "no tool 'oracle'. Tools: clock, weather"),
        (call("c1", ""), "no tool ''"),
        (call("c1", arguments="{city: Oslo}"), "not a JSON object: {city: Oslo}"),
        (call("c1", arguments='["Oslo"]'), "not a JSON object"),
        (call("c1", arguments='"Oslo"'), "not a JSON object"),
        (call("c1", arguments="null"), "not a JSON object"),
        (call("c1", arguments='{"city":"Os'), "not a JSON object"),
        (call("c1", arguments='{"degrees":NaN}'), "not a JSON object"),
        (call("c1", arguments='{"a":' * 100_000), "not a JSON object"),
        (call("c1", arguments='{"n":' + "9" * 5_000 + "}"), "not a JSON object"),
    ],
)
def test_a_call_that_nobody_can_run_is_answered_with_the_reason(refused: ToolCall, mentions: str) -> None:
    action = next_action(given(STARTED, *answered("i1", refused)), TOOLS, 10)
    assert isinstance(action, Respond) and action.calls == (refused,)
    [told] = action.responses
    assert (told.call_id, told.tool_name) == (refused.call_id, refused.tool_name)
    assert isinstance(told.content, str) and mentions in told.content and len(told.content) < 500


def test_calls_that_nobody_can_run_do_not_hold_up_the_others() -> None:
    good, bad = call("c1"), call("c2", "oracle")
    events: list[Event] = [STARTED, *answered("i1", bad, good, text="Let me see.")]
    action = next_action(given(*events), TOOLS, 10)
    assert isinstance(action, Respond) and action.calls == (bad,)
    events += turns.executed("x1", 1, action.calls, action.responses)
    awaits = next_action(given(*events), TOOLS, 10)
    assert isinstance(awaits, Await)
    assert (awaits.output.content, awaits.output.tool_calls) == ("Let me see.", [good])
    events += [TurnAwaitingInput(output_message=awaits.output)]
    events += turns.resume(given(*events), [response("c1")], NEXT_OWNER, "x2")
    assert next_action(given(*events), TOOLS, 10) == Infer()


def test_calls_of_earlier_inferences_are_not_pending() -> None:
    """Model servers count their calls from 0 in each answer, so that ids come again."""
    events = [*waiting(call("c1")), TurnResumed(owner=OWNER)]
    events += turns.executed("x1", 1, [call("c1")], [response("c1")])
    assert turns.pending_calls(given(*events)) == ()
    again = [*events, *answered("i2", call("c1"), call("c2"))]
    assert turns.pending_calls(given(*again)) == (call("c1"), call("c2"))


def test_resuming_records_the_responses_as_a_step() -> None:
    calls = [call("c1"), call("c2", "clock")]
    state = given(*waiting(*calls))
    responses = [ToolResponse("c2", "clock", "noon", {"took_ms": 4}), response("c1")]
    assert turns.resume(state, responses, NEXT_OWNER, "x1") == [
        TurnResumed(owner=NEXT_OWNER),
        begun("x1", "tool_execution"),
        TurnStepCompleted(
            step_id="x1", step_type="tool_execution", tool_calls=calls, tool_responses=responses
        ),
    ]


@pytest.mark.parametrize(
    ("ids", "mentions"),
    [
        ([], "does not answer c1, c2"),
        (["c1"], "does not answer c2"),
        (["c1", "c1"], "tool_responses[1].call_id is 'c1' for the second time"),
        (["c1", "c2", "c3"], "tool_responses[2].call_id is 'c3', which is not pending. Pending: c1, c2."),
        (["C1", "c2"], "tool_responses[0].call_id is 'C1', which is not pending"),
        (["c1", ""], "tool_responses[1].call_id is ''"),
    ],
)
def test_responses_that_do_not_answer_exactly_the_pending_calls(ids: list[str], mentions: str) -> None:
    state = given(*waiting(call("c1"), call("c2")))
    with pytest.raises(Invalid) as caught:
        turns.resume(state, [response(call_id) for call_id in ids], OWNER, "x1")
    assert mentions in caught.value.detail


@pytest.mark.parametrize(
    "end",
    [
        TurnResumed(owner=OWNER),
        TurnCompleted(output_message=output("x")),
        TurnFailed(error=ERROR, output_message=output("x")),
        TurnCancelled(reason="", output_message=output("x")),
        TurnAbandoned(output_message=output("x")),
    ],
)
def test_only_a_waiting_turn_is_resumed(end: Event) -> None:
    with pytest.raises(Conflict) as caught:
        turns.resume(given(*waiting(call("c1")), end), [response("c1")], OWNER, "x1")
    assert given(*waiting(call("c1")), end).status in caught.value.detail


@pytest.mark.parametrize(
    "events", [waiting(call("c1")), [STARTED, TurnCompleted(output_message=output("x"))]]
)
def test_only_a_running_turn_is_restarted(events: list[Event]) -> None:
    assert turns.restart(given(STARTED), NEXT_OWNER) == [TurnRestarted(owner=NEXT_OWNER, attempt=2)]
    with pytest.raises(Conflict):
        turns.restart(given(*events), NEXT_OWNER)


def starting(*messages: InputMessage) -> Callable[[list[str]], Any]:
    event = TurnStarted(session_id="s", agent_id="a", owner=OWNER, input_messages=list(messages))
    return lambda pending: turns.start(event, pending) == [event]


def late(call_id: str) -> InputMessage:
    return InputMessage(role="tool", call_id=call_id, content="late")


def test_a_turn_starts_with_a_question_or_with_late_responses() -> None:
    assert starting(InputMessage(role="user", content="x"))([])
    assert starting(InputMessage(role="user", content="x"))(["c1"])
    assert starting(late("c1"))(["c1", "c2"])
    assert starting(late("c2"), InputMessage(role="user", content="x"), late("c1"))(["c1", "c2"])


@pytest.mark.parametrize(
    ("messages", "mentions"),
    [
        ([], "messages has no user message"),
        ([late("c1")], "messages[0].call_id is 'c1'"),
        ([InputMessage(role="user", content="x"), late("c3")], "messages[1].call_id is 'c3'"),
        ([late("c2"), late("c2")], "messages[1].call_id is 'c2'"),
    ],
)
def test_input_that_no_turn_starts_with(messages: list[Any], mentions: str) -> None:
    with pytest.raises(Invalid) as caught:
        starting(*messages)(["c2"])
    assert mentions in caught.value.detail


def test_long_lists_of_names_are_cut() -> None:
    many = {f"tool_{number:05}" for number in range(1_000)}
    action = next_action(given(STARTED, *answered("i1", call("c1", "oracle"))), many, 10)
    assert isinstance(action, Respond)
    assert str(action.responses[0].content).endswith("tool_00019, ....")


def test_what_a_waiting_turn_had_said_is_its_output_when_it_ends_early() -> None:
    state = given(STARTED, *answered("i1", call("c1"), text="Let me see."))
    assert turns.produced(state) == output("Let me see.")
    assert turns.produced(given(STARTED)) == output("")


def test_life_is_what_an_inference_produced_since_a_moment() -> None:
    """A resume's own response shows nothing of the model that is asked after it."""
    events = [*waiting(call("c1")), TurnResumed(owner=OWNER)]
    events += turns.executed("x1", 1, [call("c1")], [response("c1")])
    state = given(*events, begun("i2"))
    assert state.has_output_since(state.started_at) and not state.has_output_since(state.running_since)
    silent = TurnStepFailed(step_id="i2", step_type="inference", error=ERROR, trace=StreamTrace([], []))
    assert not given(*events, begun("i2"), silent).has_output_since(state.running_since)
    broken = TurnStepFailed(
        step_id="i2", step_type="inference", error=ERROR, output=output("Rai"), trace=StreamTrace([3], [0])
    )
    assert given(*events, begun("i2"), broken).has_output_since(state.running_since)
