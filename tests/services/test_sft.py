"""Rows for training: what the model saw and wrote, in the form that trainers read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import TypeAdapter

from schemas.events.agent import AgentCreated, AgentUpdated
from schemas.events.payload import ToolDef
from schemas.events.turn import TurnStarted
from stack.errors import Invalid
from stack.eventstore import Recorded
from stack.services.replay.formats import sft
from stack.services.replay.imported_session import Inference
from stack.services.replay.session_record import SessionRecord
from tests.services.recorded_sessions import record_with, session_records, states_of, turn
from tests.services.test_atif import ANSWERED, ASKED, FOUND, refused

MESSAGES = TypeAdapter(list[ChatCompletionMessageParam])
TOOLS = TypeAdapter(list[ChatCompletionToolParam])


def rows(record: SessionRecord) -> list[dict[str, Any]]:
    """Returns the rows, which OpenAI's own types accept."""
    found = []
    for line in sft.export(record):
        assert line.endswith(b"\n") and line.count(b"\n") == 1
        row = json.loads(line)
        assert row.keys() == {"messages", "tools"}
        MESSAGES.validate_python(row["messages"])
        TOOLS.validate_python(row["tools"])
        found.append(row)
    return found


def test_a_session_is_a_row() -> None:
    tool = ToolDef(name="search", description="Finds.", input_schema={"type": "object", "properties": {}})
    (row,) = rows(record_with(turn("2+2?", ASKED, FOUND, ANSWERED), turn("Thanks", ANSWERED), tools=[tool]))
    assert row["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2+2?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": 1}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "Thanks"},
        {"role": "assistant", "content": "4"},
    ]
    parameters = {"type": "object", "properties": {}}
    assert row["tools"] == [
        {
            "type": "function",
            "function": {"name": "search", "description": "Finds.", "parameters": parameters},
        }
    ]


@given(session_records())
@settings(max_examples=20, deadline=None)
def test_each_call_has_a_result_and_each_row_ends_with_an_answer(record: SessionRecord) -> None:
    learned = [
        state
        for state in states_of(record)
        if state.status == "completed" and state.output_message.stop_reason == "end_of_turn"
    ]
    if not learned:
        with pytest.raises(Invalid):
            rows(record)
        return
    (row,) = rows(record)
    assert row["messages"][-1]["role"] == "assistant"
    called = [call["id"] for message in row["messages"] for call in message.get("tool_calls", ())]
    assert called == [message["tool_call_id"] for message in row["messages"] if message["role"] == "tool"]


def test_turns_that_did_not_complete_are_left_out() -> None:
    cut_off = Inference(content="It is", is_cut_off=True)
    record = record_with(
        turn("a", ASKED, status="abandoned"),
        turn("b", status="cancelled"),
        turn("c", cut_off),
        turn("d", ANSWERED),
    )
    (row,) = rows(record)
    assert [message["content"] for message in row["messages"]] == ["Be brief.", "d", "4"]


def test_a_session_without_completed_turns_says_so() -> None:
    with pytest.raises(Invalid, match="has no completed turn"):
        rows(record_with(turn("a", ASKED, status="abandoned")))


def test_turns_that_a_shield_ended_are_left_out() -> None:
    (row,) = rows(refused())
    assert [message["content"] for message in row["messages"]] == ["Be brief.", "Hi", "4"]


def test_a_row_ends_where_the_instructions_change() -> None:
    record = record_with(turn("a", ANSWERED), turn("b", ANSWERED))
    (created,) = record.agents[record.agent_id]
    assert isinstance(created.event, AgentCreated)
    config = replace(created.event.config, instructions="Be kind.")
    updated = Recorded(0, 2, created.recorded_at + 1, AgentUpdated(config=config))
    first, (second_id, events) = record.turns.items()
    started = events[0].event
    assert isinstance(started, TurnStarted)
    changed = [events[0]._replace(event=replace(started, agent_version=2)), *events[1:]]
    found = rows(
        replace(
            record, agents={record.agent_id: [created, updated]}, turns=dict([first, (second_id, changed)])
        )
    )
    assert [[message["content"] for message in row["messages"]] for row in found] == [
        ["Be brief.", "a", "4"],
        ["Be kind.", "a", "4", "b", "4"],
    ]
