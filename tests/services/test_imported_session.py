"""Imported sessions: their events are those of sessions that ran here."""

from __future__ import annotations

import asyncio
import uuid

from hypothesis import given, settings

from schemas.events.payload import ToolCall, ToolResponse
from schemas.events.turn import TurnAwaitingInput, TurnCompleted, TurnResumed, TurnStepStarted
from stack.domain.turn_action import Await, Complete, Infer, arguments_are_json, next_action
from stack.services.replay.check import check
from stack.services.replay.imported_session import Imported, Inference, Results, agent_config, record_of
from stack.services.replay.session_record import SessionRecord
from stack.services.turns.turn_frames import TurnFrames
from tests.services.recorded_sessions import (
    DIGEST,
    NOW,
    STARTED,
    folded,
    record_with,
    session_records,
    states_of,
    turn,
)

CALL = ToolCall("c1", "search", '{"q": 1}')
ASKED = Inference(content="I look.", tool_calls=(CALL,), model="m", ended_at=STARTED + 2_000_000)
FOUND = Results(responses=(ToolResponse("c1", "search", "found"),), ended_at=STARTED + 3_000_000)
ANSWERED = Inference(content="It is 4.", model="m", ended_at=STARTED + 5_000_000)


@given(session_records())
@settings(max_examples=20, deadline=None)
def test_folds_to_closed_turns_of_one_agent_in_rising_times(record: SessionRecord) -> None:
    agent, session = folded(record)
    assert agent.config is not None
    assert session.agent_id == record.agent_id
    assert list(session.turns) == list(record.turns) == sorted(record.turns)
    assert session.open_turn == ""
    for state in states_of(record):
        assert state.completed_at and state.open_tool_step is None
        assert (state.agent_id, state.session_id) == (record.agent_id, record.session_id)
        times = [time for step in state.finished_steps for time in (step.started_at, step.completed_at)]
        assert times == sorted(set(times))
    for events in record.turns.values():
        assert [one.version for one in events] == list(range(1, len(events) + 1))
        assert all(one.recorded_at == one.event.occurred_at > 0 for one in events)


@given(session_records())
@settings(max_examples=20, deadline=None)
def test_each_event_is_the_next_action_of_the_runner(record: SessionRecord) -> None:
    """At each point where the runner would decide, it would have decided what is recorded."""
    agent, _ = folded(record)
    assert agent.config is not None
    tools = {tool.name for tool in agent.config.client_tools or ()}
    for turn_id, events in record.turns.items():
        frames = TurnFrames(turn_id)
        for recorded in events:
            event, state = recorded.event, frames.state
            if isinstance(event, TurnStepStarted) and event.step_type == "inference":
                assert isinstance(next_action(state, tools, 1000), Infer)
            elif isinstance(event, TurnAwaitingInput):
                assert _awaits(next_action(state, tools, 1000))
            elif isinstance(event, TurnCompleted):
                assert next_action(state, tools, 1000) == Complete(event.output_message)
            frames.apply(event, recorded.recorded_at, recorded.version, live=False)


@given(session_records())
@settings(max_examples=20, deadline=None)
def test_run_again_it_comes_out_the_same(record: SessionRecord) -> None:
    """Except for calls that this server would have refused, and the other tool has run."""
    report = asyncio.run(check(record)).report
    for checked, state in zip(report.turns, states_of(record), strict=True):
        calls = [call for step in state.steps if step.output for call in step.output.tool_calls or ()]
        if all(map(arguments_are_json, calls)):
            assert checked.verdict == "identical", checked


def test_run_again_its_models_need_no_provider() -> None:
    """Other tools name models without a provider, and change them within a turn."""
    other = Inference(content="It is 4.", model="gpt-y")
    report = asyncio.run(check(record_with(turn("2+2?", ASKED, FOUND, other)))).report
    assert report.verdict == "identical", report


def _awaits(action: object) -> bool:
    # Arguments that are not an object are refused by this server, and another tool may have run them.
    return isinstance(action, Await) or type(action).__name__ == "Respond"


def test_has_the_times_of_its_source() -> None:
    record = record_with(turn("2+2?", ASKED, FOUND, ANSWERED))
    (state,) = states_of(record)
    assert state.started_at == STARTED
    assert [step.completed_at - STARTED for step in state.steps] == [2_000_000, 3_000_000, 5_000_000]
    events = [one.event for one in next(iter(record.turns.values()))]
    assert any(isinstance(event, TurnResumed) for event in events)


def test_without_times_it_occurred_when_it_was_imported() -> None:
    (state,) = states_of(record_with(turn("Hi", Inference(content="Hello"), began_at=0)))
    assert NOW <= state.started_at < state.completed_at < NOW + 100


def test_the_frames_of_a_turn_hold_each_answer_in_one_chunk() -> None:
    record = record_with(turn("2+2?", ASKED, FOUND, ANSWERED))
    turn_id, events = next(iter(record.turns.items()))
    frames = TurnFrames(turn_id)
    text = b"".join(
        frame.body
        for one in events
        for frame in frames.apply(one.event, one.recorded_at, one.version, live=False)
    )
    assert text.count(b'"step_progress"') == 4
    assert text.count(b'"succeeded"') == 1
    assert text.count(b'"turn_complete"') == 1


def test_ids_depend_on_the_file_alone() -> None:
    config = agent_config("helper", "m", "", [], [])
    one = Imported(source="s", session_name="s", agent=config, turns=(turn("Hi", ANSWERED),))
    first, again = (record_of(one, "atif", DIGEST, now) for now in (NOW, NOW + 1))
    other = record_of(one, "atif", "1" * 64, NOW)
    assert (first.session_id, list(first.turns)) == (again.session_id, list(again.turns))
    assert first.session_id != other.session_id
    assert first.agent_id == other.agent_id
    assert not set(first.turns) & set(other.turns)
    for id in (first.agent_id, first.session_id, *first.turns):
        assert uuid.UUID(id).variant == uuid.RFC_4122


def test_a_session_has_a_name_of_a_bounded_length() -> None:
    config = agent_config("helper", "m", "", [], [])
    names = []
    for source, name in (("s", "  \n"), ("", ""), ("s", "x" * 100_000)):
        one = Imported(source=source, session_name=name, agent=config, turns=())
        names.append(folded(record_of(one, "atif", DIGEST, NOW))[1].session_name)
    assert names == ["s", "atif", "x" * 200]
