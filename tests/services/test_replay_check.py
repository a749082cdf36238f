"""A recorded turn, run again: identical if nothing changed; otherwise the first event that differs, and its class."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.api.session_check import Report
from schemas.events.agent import AgentCreated
from schemas.events.base import Damaged, Event
from schemas.events.payload import InputMessage, ToolCall, Violation
from schemas.events.turn import (
    TurnCancelled,
    TurnEffectSettled,
    TurnStarted,
    TurnStepCompleted,
    TurnToolReturned,
    TurnToolsResolved,
)
from stack.domain import turn as turns
from stack.domain import turn_action
from stack.eventstore import Recorded
from stack.providers.tools.settings import ApprovalRule
from stack.services.replay.check import check
from stack.services.replay.session_record import SessionRecord
from stack.services.turns import turn_runner
from tests.services.tool_turns import Turning

ANN, LOOK = ("send", '{"to":"ann"}'), ("look", "{}")
Change = Callable[[Event], Event]


def recorded(
    script: Sequence[Sequence[tuple[str, str]]] = ((ANN, LOOK), (LOOK,)), **options: Any
) -> SessionRecord:
    turn = Turning(script, **options)
    turn.run()
    assert turn.state.completed_at
    return turn.record


def checked(record: SessionRecord) -> Report:
    return asyncio.run(check(record)).report


def changed(
    record: SessionRecord, kind: type[Event], change: Callable[[Any], Event], which: int = 0
) -> SessionRecord:
    """The record with another content in one of the turn's events of a kind."""
    turn = list(record.turns["turn-1"])
    places = [index for index, one in enumerate(turn) if isinstance(one.event, kind)]
    turn[places[which]] = turn[places[which]]._replace(event=change(turn[places[which]].event))
    return replace(record, turns={"turn-1": turn})


def with_agent(record: SessionRecord, **changes: Any) -> SessionRecord:
    [created] = record.agents["a"]
    assert isinstance(created.event, AgentCreated)
    config = replace(created.event.config, **changes)
    return replace(record, agents={"a": [created._replace(event=AgentCreated(config=config))]})


def first(record: SessionRecord) -> tuple[str, str, int]:
    """The class of the first difference, its event, and the number of that in its stream."""
    report = checked(record)
    assert report.verdict == "diverged" and report.exit_code == 2
    turn = report.first
    assert turn is not None and turn.difference is not None
    return turn.difference.kind, turn.difference.event, turn.version


def test_an_unchanged_turn_is_identical() -> None:
    report = checked(recorded())
    assert report.verdict == "identical" and report.exit_code == 0 and report.first is None
    assert [turn.events for turn in report.turns] == [19]


def test_another_prompt_is_another_request() -> None:
    record = with_agent(recorded(), instructions="Be brief.")
    assert first(record) == ("request", "turn.step_started", 3)


def test_another_question_is_another_request() -> None:
    def other(started: TurnStarted) -> TurnStarted:
        return replace(started, input_messages=[InputMessage(role="user", content="Why?")])

    assert first(changed(recorded(), TurnStarted, other)) == ("request", "turn.step_started", 3)


def test_another_result_is_another_request_from_there_on() -> None:
    def other(done: TurnStepCompleted) -> TurnStepCompleted:
        [one, *rest] = done.tool_responses or []
        return replace(done, tool_responses=[replace(one, content="sent to bob"), *rest])

    record = changed(recorded(), TurnStepCompleted, other, 1)
    assert first(record) == ("tool arguments", "turn.step_completed", 10), (
        "the step says what its calls returned"
    )


def test_other_definitions_are_another_tool_set() -> None:
    def other(resolved: TurnToolsResolved) -> TurnToolsResolved:
        assert resolved.tools is not None
        return replace(resolved, tools=[replace(one, description="New.") for one in resolved.tools])

    assert first(changed(recorded(), TurnToolsResolved, other)) == ("tool set", "turn.tools_resolved", 2)


def test_a_tool_that_is_gone_is_another_tool_set() -> None:
    def without(resolved: TurnToolsResolved) -> TurnToolsResolved:
        assert resolved.tools is not None
        return replace(resolved, tools=[one for one in resolved.tools if one.name != "look"])

    assert first(changed(recorded(), TurnToolsResolved, without)) == ("tool set", "turn.tools_resolved", 2)


def test_other_arguments() -> None:
    def other(done: TurnStepCompleted) -> TurnStepCompleted:
        assert done.output is not None
        calls = [ToolCall("call_0_0", "send", '{"to":"bob"}'), *(done.output.tool_calls or [])[1:]]
        trace = None if done.trace is None else replace(done.trace, lengths=[12, -1, 2, -1])
        return replace(done, output=replace(done.output, tool_calls=calls), trace=trace)

    assert first(changed(recorded(), TurnStepCompleted, other)) == ("tool arguments", "turn.step_started", 5)


def test_a_rule_that_was_added_is_an_approval() -> None:
    def guarded(resolved: TurnToolsResolved) -> TurnToolsResolved:
        assert resolved.tools is not None
        rule = [{"tools": ["send"], "arguments": {}}]
        return replace(resolved, tools=[replace(one, approval=rule) for one in resolved.tools])

    record = changed(recorded(), TurnToolsResolved, guarded)
    assert first(record)[0] == "tool set", "the rules are part of what is recorded of a tool"


def test_a_runner_that_asks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = Turning([[ANN, LOOK]], approval=[ApprovalRule(tools=["send"])])
    turn.run()
    turn.answer(call_0_0=("", {"decision": "approve"}))
    assert checked(turn.record).verdict == "identical"
    monkeypatch.setattr("stack.services.turns.tool_step.needs_approval", lambda *_: False)
    assert first(turn.record)[0] == "approval"


def test_a_runner_with_another_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    record = recorded()
    assert first(with_agent(record, max_infer_iters=2)) == ("limit", "turn.step_started", 13)
    monkeypatch.setattr(
        turn_runner, "next_action", lambda state, *_: turn_action.Complete(turns.produced(state))
    )
    assert first(record)[0] in ("request", "answer")


def test_a_verdict_that_is_not_asked_for_any_more() -> None:
    def verdict(touchpoint: str, texts: list[str]) -> Violation | None:
        return None

    record = recorded([[LOOK]], verdict=verdict)
    assert checked(record).verdict == "identical"
    assert first(with_agent(record, output_shields=None))[0] == "shield"


def test_a_runner_that_says_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    record = recorded()
    plain = turn_action.next_action

    def other(state: turns.TurnState, *more: Any) -> turn_action.Next:
        action = plain(state, *more)
        if isinstance(action, turn_action.Complete):
            return turn_action.Complete(replace(action.output, content="Bye."))
        return action

    monkeypatch.setattr(turn_runner, "next_action", other)
    kind, event, version = first(record)
    assert (kind, event) == ("answer", "turn.completed") and version == 19


def test_a_detail_is_no_divergence() -> None:
    def slower(done: TurnStepCompleted) -> TurnStepCompleted:
        return replace(done, vector_db_ids=["x"])

    report = checked(changed(recorded(), TurnStepCompleted, slower))
    assert report.verdict == "equivalent" and report.exit_code == 1
    assert report.first is not None and report.first.version == 4


def test_the_order_of_calls_at_the_same_time_does_not_count() -> None:
    record = recorded()
    turn = list(record.turns["turn-1"])
    places = [index for index, row in enumerate(turn) if isinstance(row.event, TurnToolReturned)]
    one, other = places[:2]
    turn[one], turn[other] = (
        turn[one]._replace(event=turn[other].event),
        turn[other]._replace(event=turn[one].event),
    )
    assert checked(replace(record, turns={"turn-1": turn})).verdict == "identical"


def test_an_operator_settles_what_was_lost() -> None:
    turn = Turning([[ANN]], crash_at=9)
    turn.run()
    assert "unknown" in str(turn.responses())
    settled = TurnEffectSettled(
        session_id="s", call_id="call_0_0", decision="done", status="done", content="sent"
    )
    turn.log(settled)
    assert checked(turn.record).verdict == "identical"


def test_what_cannot_be_run_again_says_why() -> None:
    record = recorded()
    turn = list(record.turns["turn-1"])
    broken = [*turn[:3], turn[3]._replace(event=Damaged(name="turn.step_completed")), *turn[4:]]
    reasons = []
    for damaged in (
        replace(record, turns={"turn-1": broken}),
        replace(record, turns={"turn-1": turn[1:]}),
        replace(record, agents={}),
        changed(record, TurnToolsResolved, lambda event: replace(event, tools=None, same_as="turn-0")),
    ):
        report = checked(damaged)
        assert report.verdict == "unreplayable" and report.exit_code == 3
        reasons.append(report.turns[0].reason)
    assert "event 4 of the turn cannot be read" in reasons[0]
    assert "first event is missing" in reasons[1]
    assert "configuration is not in the record" in reasons[2]
    assert "recorded its tools is not in the record" in reasons[3]


def test_a_turn_of_a_version_without_recorded_tools() -> None:
    record = recorded()
    turn = [one for one in record.turns["turn-1"] if not isinstance(one.event, TurnToolsResolved)]
    started = turn[0].event
    assert isinstance(started, TurnStarted)
    turn[0] = turn[0]._replace(event=replace(started, agent_version=0))
    report = checked(replace(record, turns={"turn-1": turn}))
    assert report.verdict == "unreplayable" and "did not record the definitions" in report.turns[0].reason


def test_a_session_without_a_turn_is_identical() -> None:
    assert checked(replace(recorded(), turns={})).verdict == "identical"


def test_an_open_turn_is_checked_as_far_as_it_is() -> None:
    record = recorded()
    whole: Sequence[Recorded] = record.turns["turn-1"]
    for length in range(1, len(whole) + 1):
        report = checked(replace(record, turns={"turn-1": whole[:length]}))
        assert report.verdict == "identical", (length, report.first)


@pytest.mark.parametrize("script", [[[ANN, LOOK], [LOOK]], [[("code", "{}")]]], ids=["tools", "code"])
def test_a_turn_that_was_cancelled_anywhere_is_identical(script: list[list[tuple[str, str]]]) -> None:
    """By a process that does not run it: a fork, a deletion, an import."""
    record = recorded(script)
    whole = list(record.turns["turn-1"])
    cancelled = 0
    for length in range(1, len(whole)):
        state = turns.TurnState()
        for one in whole[:length]:
            state = turns.evolve(state, one.event, one.recorded_at, one.version)
        if state.status != "running":
            continue
        output = turns.produced(state)
        ended = [*turns.broken_off(state), TurnCancelled(reason="Enough.", output_message=output)]
        added = [Recorded(0, length + number, 1, event) for number, event in enumerate(ended, 1)]
        report = checked(replace(record, turns={"turn-1": [*whole[:length], *added]}))
        assert report.verdict == "identical", (length, report.first)
        cancelled += 1
    assert cancelled > 8
