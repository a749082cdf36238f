"""Calls of server-side tools: what is recorded, who decides, and that no effect happens twice."""

from __future__ import annotations

import pytest

from schemas.events.payload import ToolResponse
from schemas.events.turn import (
    TurnAbandoned,
    TurnInputRequested,
    TurnStepCompleted,
    TurnToolCalled,
    TurnToolReturned,
)
from stack.domain import turn as turns
from stack.domain.tool_call import UNKNOWN_OUTCOME
from stack.errors import Conflict, Invalid
from stack.providers.tools.settings import ApprovalRule
from tests.services.tool_turns import Turning

ANN = ("send", '{"to":"ann"}')
LOOK = ("look", "{}")
SENDS = ApprovalRule(tools=["send"])


def test_an_intent_precedes_each_call_and_its_outcome_follows() -> None:
    turn = Turning([[ANN, LOOK]])
    state = turn.run()
    assert state.status == "completed" and state.output_message.content == "Done."
    assert turn.responses() == {"call_0_0": "sent to ann", "call_0_1": "sunny"}
    kinds = [type(event).__name__ for event, _, _ in turn.events]
    assert kinds == [
        "TurnStarted", "TurnToolsResolved", "TurnStepStarted", "TurnStepCompleted", "TurnStepStarted",
        "TurnToolCalled", "TurnToolCalled", "TurnToolReturned", "TurnToolReturned", "TurnStepCompleted",
        "TurnStepStarted", "TurnStepCompleted", "TurnCompleted",
    ]  # fmt: skip
    sent, looked = turn.of(TurnToolCalled)
    assert len(sent.key) == 64 and sent.key != looked.key
    assert (sent.repeatable, looked.repeatable) == (False, True)
    assert [request.key for request in turn.tools.requests] == [sent.key, looked.key]
    turn.check()


def test_the_key_is_of_tool_arguments_and_turn_and_counts_repetitions() -> None:
    turn = Turning([[("send", '{"to": "ann", "x": 1}'), ("send", '{"x":1,"to":"ann"}')], [ANN]])
    turn.run()
    keys = [event.key for event in turn.of(TurnToolCalled)]
    assert len(set(keys)) == 3 and len(turn.tools.ran) == 3
    other = Turning([[("send", '{"x":1,"to":"ann"}')]])
    other.run()
    assert other.of(TurnToolCalled)[0].key == keys[0], "the order of the arguments does not matter"


def test_calls_that_cannot_be_made_go_back_to_the_model() -> None:
    turn = Turning([[("send", '{"to":1}'), ("oracle", "{}"), ("look", "["), LOOK], [("nothing", "{}")]])
    assert turn.run().status == "completed"
    wrong, unknown, broken, fine, alone = turn.responses().values()
    assert "do not match the schema" in str(wrong) and "there is no tool 'oracle'" in str(unknown)
    assert "not a JSON object" in str(broken) and fine == "sunny" and "there is no tool" in str(alone)
    assert turn.tools.ran == {} and len(turn.tools.requests) == 1
    turn.check()


def test_an_error_of_a_tool_is_a_response() -> None:
    turn = Turning([[("break", "{}")]])
    assert turn.run().status == "completed"
    assert turn.responses() == {"call_0_0": "it broke"}
    assert turn.of(TurnToolReturned)[0].status == "failed"


def test_tools_of_the_server_run_before_the_client_is_asked() -> None:
    turn = Turning([[("weather", "{}"), ANN]])
    state = turn.run()
    assert state.status == "awaiting_input" and turn.responses() == {"call_0_1": "sent to ann"}
    assert [call.call_id for call in turns.awaited_calls(state)] == ["call_0_0"]
    assert turn.answer(call_0_0=("rain", None)).status == "completed"
    assert turn.responses() == {"call_0_0": "rain", "call_0_1": "sent to ann"}
    turn.check()


def test_code_calls_other_tools_once_each() -> None:
    turn = Turning([[("code", "{}")]])
    assert turn.run().status == "completed"
    assert turn.responses() == {"call_0_0": "sent to ann sent to bob sunny"}
    nested = [event for event in turn.of(TurnToolCalled) if event.parent]
    assert [event.call_id for event in nested] == ["call_0_0.1", "call_0_0.2", "call_0_0.3"]
    assert len([event for event in turn.of(TurnToolCalled) if not event.parent]) == 1
    turn.check()


def test_an_approval_is_awaited_and_decides() -> None:
    turn = Turning([[ANN, LOOK]], approval=[SENDS])
    state = turn.run()
    assert state.status == "awaiting_input" and turn.tools.ran == {}
    [asked] = turn.of(TurnInputRequested)
    assert (asked.kind, asked.call_id, asked.tool_name) == ("approval", "call_0_0", "send")
    assert state.output_message.stop_reason == "end_of_message"
    assert [call.call_id for call in state.output_message.tool_calls or ()] == ["call_0_0"]
    assert turn.answer(call_0_0=("fine", {"decision": "approve"})).status == "completed"
    assert turn.responses() == {"call_0_0": "sent to ann", "call_0_1": "sunny"}
    turn.check()


def test_a_denied_call_is_not_made_and_the_model_sees_why() -> None:
    turn = Turning([[ANN]], approval=[SENDS])
    turn.run()
    assert turn.answer(call_0_0=("not today", {"decision": "deny"})).status == "completed"
    assert turn.responses() == {"call_0_0": "The call was denied: not today"} and turn.tools.ran == {}
    turn.check()


@pytest.mark.parametrize("arguments", ['{"to":"ann"}', '{"to":"me@here"}'])
def test_a_rule_over_arguments(arguments: str) -> None:
    turn = Turning([[("send", arguments)]], approval=[ApprovalRule(arguments={"$.to": "^[a-z]+$"})])
    assert turn.run().status == ("awaiting_input" if "ann" in arguments else "completed")


def test_an_approval_within_code() -> None:
    turn = Turning([[("code", "{}")]], approval=[SENDS])
    state = turn.run()
    assert [call.call_id for call in turns.awaited_calls(state)] == ["call_0_0.1", "call_0_0.2"]
    yes, no = ("", {"decision": "approve"}), ("no", {"decision": "deny"})
    state = turn.answer(**{"call_0_0.1": yes, "call_0_0.2": no})
    assert state.status == "completed"
    assert turn.responses() == {"call_0_0": "sent to ann The call was denied: no sunny"}
    turn.check()


def test_a_question_of_a_tool_is_answered_on_resume() -> None:
    turn = Turning([[("ask", "{}")]])
    state = turn.run()
    assert state.status == "awaiting_input"
    [asked] = turn.of(TurnInputRequested)
    assert asked.kind == "elicitation" and asked.request["message"] == "Which folder?"
    assert turn.answer(call_0_0=('{"folder":"a"}', None)).status == "completed"
    assert turn.responses() == {"call_0_0": "accept: {'folder': 'a'}"}
    turn.check()


def test_a_tool_asks_twice() -> None:
    turn = Turning([[("ask", '{"to":"twice"}')]])
    turn.run()
    assert turn.answer(call_0_0=("{}", None)).status == "awaiting_input"
    assert turn.answer(call_0_0=("", {"decision": "decline"})).status == "completed"
    first, second = turn.of(TurnInputRequested)
    assert first.request_id != second.request_id and second.request["message"] == "Really?"
    assert turn.responses() == {"call_0_0": "decline: None"}
    turn.check()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([], "does not answer"),
        ([ToolResponse("call_0_9", "send", "")], "is not pending"),
        ([ToolResponse("call_0_0", "send", "")] * 2, "second time"),
        ([ToolResponse("call_0_0", "send", "a result")], "approve or deny"),
        ([ToolResponse("call_0_0", "send", "", {"decision": "maybe"})], "must be one of"),
        ([ToolResponse("call_0_0", "send", "", {"decision": ["approve"]})], "must be text"),
    ],
)
def test_a_resume_that_does_not_decide(given: list[ToolResponse], problem: str) -> None:
    turn = Turning([[ANN]], approval=[SENDS])
    state = turn.run()
    with pytest.raises(Invalid, match=problem):
        turns.resume(state, given, turn.state.owner, "x")


def test_a_decision_is_made_once() -> None:
    turn = Turning([[ANN]], approval=[SENDS])
    state = turn.run()
    yes = [ToolResponse("call_0_0", "send", "", {"decision": "approve"})]
    turn.log(*turns.resume(state, yes, state.owner, "x"))
    with pytest.raises(Conflict):
        turns.resume(turn.state, yes, state.owner, "x")


def test_a_turn_that_is_abandoned_keeps_the_results_it_has() -> None:
    turn = Turning([[ANN, LOOK]], approval=[SENDS])
    state = turn.run()
    turn.log(*turns.broken_off(state), TurnAbandoned(output_message=turns.produced(state)))
    assert turn.responses() == {"call_0_0": turns.NOT_EXECUTED, "call_0_1": "sunny"}
    assert turn.state.open_tool_step is None and turns.pending_calls(turn.state) == ()
    turn.check()


def test_a_lost_call_is_unknown_also_if_its_tool_is_gone() -> None:
    whole = Turning([[ANN]])
    whole.run()
    lost = 0
    for at in range(1, whole.crashes.passed + 1):
        turn = Turning([[ANN]], at)
        turn.tools_gone_after_a_crash = True
        assert turn.run().status == "completed"
        turn.check()
        called, returned = turn.of(TurnToolCalled), turn.of(TurnToolReturned)
        if called and returned[0].status != "done":
            lost += 1
            assert returned[0].status == "unknown" and returned[0].content == UNKNOWN_OUTCOME, at
    assert lost


CRASHED = {
    "one": ([[ANN]], ()),
    "two": ([[ANN, LOOK], [ANN]], ()),
    "code": ([[("code", "{}"), ("send", '{"to":"cid"}')]], ()),
    "approval": ([[ANN, ("send", '{"to":"bob"}')]], (SENDS,)),
    "code with approval": ([[("code", "{}")]], (SENDS,)),
    "question": ([[("ask", "{}")]], ()),
    "two questions": ([[("ask", '{"to":"twice"}')]], ()),
}


def answered(turn: Turning) -> turns.TurnState:
    state = turn.run()
    while state.status == "awaiting_input":
        asked = {call.call_id: call.tool_name for call in turns.awaited_calls(state)}
        yes, folder = ("", {"decision": "approve"}), ('{"folder":"a"}', None)
        state = turn.answer(**{call_id: folder if name == "ask" else yes for call_id, name in asked.items()})
    return state


@pytest.mark.parametrize("name", CRASHED)
def test_no_effect_happens_twice_wherever_the_process_ends(name: str) -> None:
    script, approval = CRASHED[name]
    whole = Turning(script, approval=approval)
    assert answered(whole).status == "completed"
    whole.check()
    lost = 0
    for at in range(1, whole.crashes.passed + 1):
        turn = Turning(script, at, approval)
        state = answered(turn)
        assert state.status == "completed" and turn.boots == 2, at
        turn.check()
        unknown = [event for event in turn.of(TurnToolReturned) if event.status == "unknown"]
        lost += len(unknown)
        if not unknown:
            assert turn.responses() == whole.responses(), at
        for event in unknown:
            assert event.tool_name in ("send", "ask") and event.content == UNKNOWN_OUTCOME
        assert all(step.completed_at for step in state.steps if step.step_type == "tool_execution"), at
        done = [event for event in turn.of(TurnStepCompleted) if event.step_type == "tool_execution"]
        assert len({event.step_id for event in done}) == len(done), at
    assert lost, "some of the crashes came between intent and outcome"
