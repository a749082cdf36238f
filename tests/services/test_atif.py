"""ATIF: what is exported is read by the package `atif`, and imported again is the same conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from atif import Trajectory
from hypothesis import given, settings
from msgspec.structs import replace

from schemas.events.payload import (
    CompletionMessage,
    InputMessage,
    ToolCall,
    ToolDef,
    ToolResponse,
    TurnUsage,
    Violation,
)
from schemas.events.turn import TurnCompleted, TurnStarted, TurnStepCompleted, TurnStepStarted
from stack.errors import Invalid
from stack.eventstore import Recorded
from stack.services.replay.formats import atif, atif_import, sft
from stack.services.replay.imported_session import Inference, Results, record_of
from stack.services.replay.session_record import SessionRecord
from tests.services.recorded_sessions import (
    DIGEST,
    NOW,
    STARTED,
    conversation,
    folded,
    record_with,
    session_records,
    states_of,
    turn,
)

CALL = ToolCall("c1", "search", '{"q": 1}')
ASKED = Inference(
    content="I look.",
    tool_calls=(CALL,),
    reasoning="Where?",
    usage=TurnUsage(10, 5),
    model="demo/a",
    ended_at=STARTED + 2_000_000,
)
FOUND = Results(responses=(ToolResponse("c1", "search", "found"),), ended_at=STARTED + 3_000_000)
ANSWERED = Inference(content="4", model="demo/a", usage=TurnUsage(20, 1), ended_at=STARTED + 5_000_000)


def exported(record: SessionRecord) -> dict[str, Any]:
    (document,) = atif.export(record)
    Trajectory.model_validate_json(document)
    found: dict[str, Any] = json.loads(document)
    return found


def read(document: Any) -> SessionRecord:
    (imported,) = atif_import.read(json.dumps(document).encode())
    return record_of(imported, "atif", DIGEST, NOW)


def trajectory(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    numbered = [{"step_id": number, **step} for number, step in enumerate(steps, 1)]
    agent = {"name": "other", "version": "1", "model_name": "gpt-x"}
    return {"schema_version": "ATIF-v1.8", "session_id": "s1", "agent": agent, "steps": numbered, **fields}


def test_a_trajectory_has_messages_calls_results_tokens_and_times() -> None:
    tool = ToolDef(name="search", description="Finds.", input_schema={"type": "object", "properties": {}})
    document = exported(record_with(turn("2+2?", ASKED, FOUND, ANSWERED), tools=[tool]))
    assert document["schema_version"] == "ATIF-v1.8"
    assert document["agent"]["tool_definitions"][0]["function"]["name"] == "search"
    steps = document["steps"]
    assert [(step["source"], step["message"]) for step in steps] == [
        ("system", "Be brief."),
        ("user", "2+2?"),
        ("agent", "I look."),
        ("agent", "4"),
    ]
    assert steps[2]["tool_calls"][0]["arguments"] == {"q": 1}
    assert steps[2]["observation"]["results"] == [{"content": "found", "source_call_id": "c1"}]
    assert steps[2]["reasoning_content"] == "Where?"
    assert steps[2]["metrics"] == {"prompt_tokens": 10, "completion_tokens": 5}
    assert steps[2]["timestamp"] == "2023-11-14T22:13:22.000000Z"
    assert document["final_metrics"] == {
        "total_prompt_tokens": 30,
        "total_completion_tokens": 6,
        "total_steps": 4,
    }


@given(session_records())
@settings(max_examples=30, deadline=None)
def test_imported_again_it_is_the_same_conversation(record: SessionRecord) -> None:
    again = read(exported(record))
    assert conversation(again) == conversation(record)
    assert folded(again)[0].config == folded(record)[0].config
    for one, other in zip(states_of(record), states_of(again), strict=True):
        assert (one.status, one.error, one.usage, one.input_messages) == (
            other.status,
            other.error,
            other.usage,
            other.input_messages,
        )
        assert [step.output for step in one.steps] == [step.output for step in other.steps]
        assert [step.tool_responses for step in one.steps] == [step.tool_responses for step in other.steps]


def test_an_exported_import_keeps_what_was_kept() -> None:
    first = read(trajectory({"source": "user", "message": "Hi"}, {"source": "agent", "message": "Hello"}))
    assert conversation(read(exported(first))) == conversation(first)


def refused(touchpoint: str = "assistant-output") -> SessionRecord:
    """A session whose first turn a shield has refused: the answer of the model, or the input."""
    record = record_with(turn("How?"), turn("Hi", ANSWERED))
    turn_id, *others = record.turns
    events = record.turns[turn_id]
    started = events[0].event
    assert isinstance(started, TurnStarted)
    secret = CompletionMessage(content="SECRET", stop_reason="end_of_turn")
    answer = [
        TurnStepStarted(step_id="i", step_type="inference", attempt=1),
        TurnStepCompleted(
            step_id="i",
            step_type="inference",
            output=CompletionMessage(content="", stop_reason="end_of_turn"),
            withheld=secret,
        ),
    ]
    is_input = touchpoint == "user-input"
    later = [
        *([] if is_input else answer),
        TurnStepStarted(step_id="s", step_type="shield_call", attempt=1, touchpoint=touchpoint),
        TurnStepCompleted(step_id="s", step_type="shield_call", violation=Violation("error", "I can't.")),
        TurnCompleted(output_message=CompletionMessage(content="I can't.", stop_reason="end_of_turn")),
    ]
    start = events[0]._replace(event=replace(started, input_shields=["guard"] if is_input else None))
    found = [start, *(Recorded(0, number, STARTED + number, event) for number, event in enumerate(later, 2))]
    return replace(record, turns={turn_id: found} | {one: record.turns[one] for one in others})


def test_what_a_shield_refused_is_not_in_it() -> None:
    document = exported(refused())
    assert "SECRET" not in json.dumps(document)
    assert document["steps"][2]["message"] == "I can't."
    assert document["steps"][2]["llm_call_count"] == 0


@pytest.mark.parametrize("touchpoint", ["user-input", "assistant-output"])
def test_what_was_refused_there_is_refused_here(touchpoint: str) -> None:
    """No model is sent refused input, neither in the session nor in its copy."""
    again = read(exported(refused(touchpoint)))
    state = states_of(again)[0]
    assert (state.status, state.output_message.content) == ("completed", "I can't.")
    assert conversation(again) == conversation(refused(touchpoint))
    assert ("How?" in json.dumps(conversation(again))) == (touchpoint != "user-input")
    (row,) = sft.export(again)
    assert b"How?" not in row and b"I can't" not in row


def test_reads_versions_before_1_8_and_fields_that_the_format_does_not_have() -> None:
    document = trajectory(
        {"source": "user", "message": "Hi", "mood": "good"},
        {
            "source": "agent",
            "message": "Hello",
            "metrics": {"cost_usd": 0.1, "prompt_tokens": 3},
            "extra": {"a": 1},
        },
        schema_version="ATIF-v1.4",
        final_metrics={"total_steps": 2, "total_cost_usd": 0.1},
        weather="rain",
    )
    (imported,) = atif_import.read(json.dumps(document).encode())
    places = {one["place"]: one["value"] for one in imported.extra["values"]}
    assert places == {
        "steps[0].mood": "good",
        "steps[1].metrics.cost_usd": 0.1,
        "steps[1].extra": {"a": 1},
        "weather": "rain",
        "final_metrics.total_cost_usd": 0.1,
    }
    assert imported.extra["counts"]["steps[].mood"] == 1
    assert imported.extra["source"]["schema_version"] == "ATIF-v1.4"
    assert imported.agent.model == "gpt-x"


def test_what_does_not_fit_is_counted() -> None:
    step = {"source": "user", "message": "Hi", "extra": {"a": "x" * 200_000}}
    answer = {"source": "agent", "message": "Hello"}
    (imported,) = atif_import.read(json.dumps(trajectory(step, answer, step, answer, step)).encode())
    assert imported.extra["left_out"] == 2
    assert imported.extra["counts"] == {"steps[].extra": 3}


def test_observations_without_calls_are_input_of_the_next_turn() -> None:
    """Agents that act by text have no calls; the terminal's answer is what they read next."""
    document = trajectory(
        {"source": "user", "message": "Do it."},
        {"source": "agent", "message": "ls", "observation": {"results": [{"content": "file.txt"}]}},
        {"source": "agent", "message": "done"},
    )
    assert [(one["role"], one["content"]) for (one,) in conversation(read(document))] == [
        ("user", "Do it."),
        ("assistant", "ls"),
        ("user", "file.txt"),
        ("assistant", "done"),
    ]


def test_results_without_ids_are_those_of_the_calls_in_order() -> None:
    call = {"tool_call_id": "a", "function_name": "x", "arguments": {}}
    results = [{"content": "1"}, {"content": [{"type": "text", "text": "2"}]}]
    document = trajectory(
        {"source": "user", "message": "Do it."},
        {"source": "agent", "message": "", "tool_calls": [call, {**call, "tool_call_id": "b"}], "observation": {"results": results}},
        {"source": "agent", "message": "done"},
    )  # fmt: skip
    (state,) = states_of(read(document))
    assert [(one.call_id, one.content) for one in state.steps[1].tool_responses] == [("a", "1"), ("b", "2")]


def test_a_subagent_is_a_session_of_its_own() -> None:
    inner = trajectory(
        {"source": "user", "message": "sub"}, {"source": "agent", "message": "ok"}, trajectory_id="t1"
    )
    del inner["schema_version"]
    outer = trajectory({"source": "user", "message": "Hi"}, subagent_trajectories=[inner])
    found = atif_import.read(json.dumps(outer).encode())
    assert [one.turns[0].input_messages[0].content for one in found] == ["Hi", "sub"]
    assert len({record_of(one, "atif", DIGEST, NOW).session_id for one in found}) == 2


def test_results_of_the_turn_before_are_input() -> None:
    waiting = turn("2+2?", ASKED, status="abandoned")
    late = InputMessage(role="tool", call_id="c1", content="late")
    more = turn("And?", ANSWERED)
    record = record_with(
        waiting, type(more)(**{**_fields(more), "input_messages": (late, *more.input_messages)})
    )
    again = read(exported(record))
    assert conversation(again) == conversation(record)
    assert {"role": "tool", "tool_call_id": "c1", "content": "late"} in [
        one for (one,) in conversation(again)
    ]


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


GOOD = json.dumps(trajectory({"source": "user", "message": "Hi"})).encode()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "The file is empty"),
        (b" \n", "The file is empty"),
        (GOOD[:-20], "The file is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b'{"messages": []}', "is not an ATIF trajectory: schema_version"),
        (GOOD.replace(b"v1.8", b"v1.9"), "versions up to 1.8 can be read"),
        (GOOD.replace(b"v1.8", b"v2.0"), "versions up to 1.8 can be read"),
        (GOOD.replace(b'"user"', b'"robot"'), "steps[0].source is 'robot'"),
        (GOOD.replace(b'"Hi"', b"7"), "steps[0].message is neither text nor a list of parts"),
        (json.dumps(trajectory()).encode(), "has no steps"),
        (GOOD.replace(b"Hi", b"\xff\xfe"), "is not UTF-8"),
        (GOOD.decode().encode("utf-16"), "is UTF-16"),
        (b"\x1f\x8b\x08" + GOOD, "is compressed"),
        (GOOD.replace(b'"Hi"', b"[" * 200 + b"]" * 200), "nested too deeply: more than 96"),
        (GOOD.replace(b'"Hi"', b"[" * 100_000 + b"]" * 100_000), "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(data: bytes, problem: str) -> None:
    with pytest.raises(Invalid) as raised:
        atif_import.read(data)
    assert problem in raised.value.detail


def test_half_of_a_character_is_replaced() -> None:
    (imported,) = atif_import.read(GOOD.replace(b"Hi", b"Hi \\ud83d"))
    assert imported.turns[0].input_messages[0].content == "Hi \ufffd"


def test_kinds_are_counted_within_a_limit() -> None:
    document = trajectory(
        {"source": "user", "message": "Hi"}, **{f"field {number}": 1 for number in range(2_000)}
    )
    (imported,) = atif_import.read(json.dumps(document).encode())
    assert len(imported.extra["counts"]) == 501
    assert sum(imported.extra["counts"].values()) == 2_000


@pytest.mark.parametrize(
    "time", ["yesterday", 1e308, -1, "9999-12-31T23:59:59Z", True, {}, "2026-13-01T00:00:00Z", 10**30]
)
def test_a_time_that_is_none_counts_as_unknown(time: Any) -> None:
    (state,) = states_of(read(trajectory({"source": "user", "message": "Hi", "timestamp": time})))
    assert NOW <= state.started_at < NOW + 100
