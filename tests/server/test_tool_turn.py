"""Turns with tools of the client: calls, what is awaited, and taking up the turn with the responses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.api import ANSWER, Api, Stream, check_error, kinds, parse, text_of
from tests.server.tool_calls import (
    ARGUMENTS,
    CALL,
    CLOCK,
    TOOLS,
    WEATHER,
    asked,
    messages,
    rain,
    waiting,
    weather_man,
)
from tests.servers.processes import RunningServer

CALLED = [("call_0", "weather", {"city": "scripted"})]


def deltas(raw: bytes) -> list[dict[str, Any]]:
    return [frame.payload["delta"] for frame in parse(raw) if frame.kind == "step_progress"]


def test_a_turn_that_calls_a_tool_awaits_its_response(api: Api) -> None:
    conversation = weather_man(api)
    turn = waiting(conversation)
    assert "completed_at" not in turn
    assert turn["output_message"] == {
        "role": "assistant", "content": "", "stop_reason": "end_of_message", "tool_calls": [CALL],
    }  # fmt: skip
    [step] = turn["steps"]
    assert step["step_type"] == "inference" and step["model_response"] == turn["output_message"]
    shown = conversation.get(turn["turn_id"])
    assert shown.json() == turn and shown.headers["x-turn-status"] == "awaiting_input"
    assert conversation.outcome(turn["turn_id"]) == {
        "status": "awaiting_input", "usage": {"input_tokens": 7, "output_tokens": 4}, "agent_version": 1,
    }  # fmt: skip
    assert conversation.show()["turns"] == [turn]


def test_the_stream_of_a_call_and_of_its_resume(api: Api) -> None:
    conversation = weather_man(api)
    first = conversation.streamed()
    frames = parse(first)
    assert kinds(frames) == [
        "turn_start",
        "step_start",
        "step_progress",
        "step_complete",
        "turn_awaiting_input",
    ]
    *fragments, whole = deltas(first)
    assert {piece["type"] for piece in fragments} == {"tool_call"}
    assert {piece["parse_status"] for piece in fragments} == {"in_progress"} and len(fragments) > 1
    assert "".join(piece["tool_call"] for piece in fragments) == ARGUMENTS
    assert whole == {"type": "tool_call", "tool_call": CALL, "parse_status": "succeeded"}
    turn = frames[-1].payload["turn"]
    turn_id = turn["turn_id"]
    assert conversation.get(turn_id).json() == turn

    answer = conversation.resume(turn_id, rain(metadata={"took_ms": 3}), stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-turn-id"] == turn_id
    more = parse(answer.content)
    executed = ["step_start", "step_complete"]
    assert kinds(more) == [*executed, "step_start", "step_progress", "step_complete", "turn_complete"]
    assert text_of(more) == ANSWER
    start, complete = more[:2]
    assert start.payload["step_type"] == complete.payload["step_type"] == "tool_execution"
    assert complete.payload["step_details"]["tool_calls"] == [CALL]
    assert complete.payload["step_details"]["tool_responses"] == [rain(metadata={"took_ms": 3})]
    positions = [tuple(map(int, frame.id.split("."))) for frame in (*frames, *more)]
    assert positions == sorted(set(positions)), "ids go on"

    ended = more[-1].payload["turn"]
    assert ended == conversation.get(turn_id).json()
    assert ended["input_messages"] == turn["input_messages"] and ended["steps"][:1] == turn["steps"]
    assert "tool_calls" not in ended["output_message"] and ended["completed_at"]
    times = [t for step in ended["steps"] for t in (step["started_at"], step["completed_at"])]
    assert times == sorted(set(times))
    assert parse(conversation.replay(turn_id).content) == [*frames, *more]
    assert conversation.outcome(turn_id)["usage"] == {"input_tokens": 14, "output_tokens": 7}


def test_a_turn_that_was_taken_up_is_followed_from_any_frame_while_it_runs(api: Api) -> None:
    """A resume does not read what came before it; who follows from the beginning does."""
    conversation = weather_man(api, f"{TOOLS};gap_ms=100")
    first = conversation.streamed()
    turn_id = parse(first)[0].payload["turn_id"]
    path, body = f"{conversation.path}/turn/{turn_id}/resume", {"tool_responses": [rain()], "stream": True}
    with conversation.http.stream("POST", path, json=body) as answer:
        resumed = Stream(answer)
        resumed.until("step_progress")
        before = parse(first)[-2].id
        with conversation.following(turn_id) as all_of_it:
            assert next(iter(all_of_it)).kind == "turn_start"
            with conversation.following(turn_id, headers={"last-event-id": before}) as from_there:
                seen = [parse(stream.rest()) for stream in (resumed, all_of_it, from_there)]
    *_, last = parse(first)
    assert seen[1] == [*parse(first), *seen[0]] and seen[2] == [last, *seen[0]]
    assert parse(conversation.replay(turn_id).content) == seen[1]


def test_a_resume_that_is_not_streamed(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    answer = conversation.resume(turn_id, rain(content=[{"type": "text", "text": "rain"}]))
    assert answer.status_code == 200 and answer.headers["x-turn-status"] == "completed"
    turn = answer.json()
    assert turn["output_message"]["content"] == ANSWER
    assert messages(scripted) == [("user", "Will it rain?"), ("assistant", CALLED), ("tool", "rain")]
    assert conversation.turn("And tomorrow?")["output_message"]["tool_calls"]
    assert messages(scripted)[3:] == [("assistant", ANSWER), ("user", "And tomorrow?")]


def test_each_step_is_there_by_its_id(api: Api) -> None:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    turn = conversation.resume(turn_id, rain()).json()
    assert [step["step_type"] for step in turn["steps"]] == ["inference", "tool_execution", "inference"]
    assert len({step["step_id"] for step in turn["steps"]}) == 3
    for step in turn["steps"]:
        shown = conversation.get(turn_id, f"/step/{step['step_id']}")
        assert shown.status_code == 200 and shown.json() == {"step": step}
        assert step["turn_id"] == turn_id


def test_several_calls_in_one_answer(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api, "scripted/tools;calls=3;pieces=2")
    raw = conversation.streamed()
    turn = parse(raw)[-1].payload["turn"]
    calls = turn["output_message"]["tool_calls"]
    assert [call["call_id"] for call in calls] == ["call_0", "call_1", "call_2"]
    told = [delta["tool_call"] for delta in deltas(raw) if delta["parse_status"] == "succeeded"]
    assert told == calls
    turn_id = turn["turn_id"]
    for ids, mention in (
        (["call_0", "call_1"], "call_2"),
        (["call_0", "call_1", "call_2", "call_1"], "tool_responses[3].call_id"),
        (["call_0", "call_1", "call_3"], "tool_responses[2].call_id"),
        ([], "call_0, call_1, call_2"),
    ):
        for stream in (True, False):
            check_error(conversation.resume(turn_id, *map(rain, ids), stream=stream), 400, mention)
    assert conversation.get(turn_id).json() == turn, "a refused resume changes nothing"
    responses = [rain("call_2", "two"), rain("call_0", "none"), rain("call_1", "one")]
    ended = conversation.resume(turn_id, *responses).json()
    execution = ended["steps"][1]
    assert execution["tool_calls"] == calls and execution["tool_responses"] == responses
    answers = [m for m in asked(scripted)["messages"] if m["role"] == "tool"]
    assert [(m["tool_call_id"], m["content"]) for m in answers] == [
        ("call_2", "two"), ("call_0", "none"), ("call_1", "one"),
    ]  # fmt: skip


def test_the_older_form_of_a_definition(api: Api, scripted: RunningServer) -> None:
    older = {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": [
            {
                "name": "city",
                "parameter_type": "str",
                "description": "Where",
                "required": True,
                "default": None,
            },
            {"name": "days", "parameter_type": "integer", "required": False, "default": 1},
        ],
        "metadata": None,
        "tool_prompt_format": "json",
    }
    conversation = weather_man(api, client_tools=[older])
    turn = waiting(conversation)
    [tool] = asked(scripted)["tools"]
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where"},
            "days": {"type": "integer", "default": 1},
        },
        "required": ["city"],
    }
    assert tool == {
        "type": "function",
        "function": {"name": "weather", "description": "Tells the weather.", "parameters": schema},
    }
    [shown] = conversation.http.get(f"/v1alpha/agents/{conversation.agent_id}").json()["agent_config"][
        "client_tools"
    ]
    assert shown["input_schema"] == schema and "parameters" not in shown
    assert conversation.resume(turn["turn_id"], rain()).status_code == 200


def test_the_definition_of_the_contract_reaches_the_model(api: Api, scripted: RunningServer) -> None:
    waiting(weather_man(api, client_tools=[WEATHER, CLOCK]))
    functions = [tool["function"] for tool in asked(scripted)["tools"]]
    assert functions == [
        {"name": "weather", "description": "Tells the weather.", "parameters": WEATHER["input_schema"]},
        {"name": "clock", "parameters": CLOCK["input_schema"]},
    ]


@pytest.mark.parametrize("wrong", ["{nonsense", '["Oslo"]', '{"city":NaN}'])
def test_arguments_that_are_no_json_are_reported_to_the_model(
    api: Api, scripted: RunningServer, wrong: str
) -> None:
    conversation = weather_man(api, f"scripted/tools;pieces=2;arguments={wrong}")
    raw = conversation.streamed()
    frames = parse(raw)
    kind = [frame.payload["step_type"] for frame in frames if frame.kind == "step_complete"]
    assert kind == ["inference", "tool_execution", "inference"] and frames[-1].kind == "turn_complete"
    [whole] = [delta for delta in deltas(raw) if isinstance(delta.get("tool_call"), dict)]
    assert whole["parse_status"] == "failed" and whole["tool_call"]["arguments"] == wrong
    execution = frames[-1].payload["turn"]["steps"][1]
    assert execution["tool_calls"] == [{**CALL, "arguments": wrong}]
    [told] = execution["tool_responses"]
    assert "not a JSON object" in told["content"] and wrong in told["content"]
    assert messages(scripted)[1:] == [("assistant", [("call_0", "weather", {})]), ("tool", told["content"])]
    assert conversation.replay(frames[0].payload["turn_id"]).content == raw.replace(b": \n", b"")


@pytest.mark.parametrize("arguments", ["", "{}"])
def test_a_call_without_arguments(api: Api, arguments: str) -> None:
    conversation = api.conversation(f"scripted/tools;arguments={arguments}", client_tools=[CLOCK])
    raw = conversation.streamed()
    [call] = parse(raw)[-1].payload["turn"]["output_message"]["tool_calls"]
    assert (call["tool_name"], call["arguments"]) == ("clock", "{}")
    assert deltas(raw)[-1] == {"type": "tool_call", "tool_call": call, "parse_status": "succeeded"}


def test_a_call_of_a_tool_that_is_not_there_is_reported_to_the_model(
    api: Api, scripted: RunningServer
) -> None:
    conversation = weather_man(api, "scripted/tools;name=oracle", client_tools=[WEATHER, CLOCK])
    turn = conversation.turn()
    [told] = turn["steps"][1]["tool_responses"]
    assert told["content"] == "Error: there is no tool 'oracle'. Tools: clock, weather."
    assert messages(scripted)[-1] == ("tool", told["content"])
    assert turn["output_message"]["content"] == ANSWER


def test_calls_of_several_inferences(api: Api, scripted: RunningServer) -> None:
    """The model counts its calls from 0 in each answer, so the same id is answered again and again."""
    conversation = weather_man(api, "scripted/tools;again=1")
    turn = waiting(conversation)
    for number in range(1, 4):
        turn = conversation.resume(turn["turn_id"], rain(content=f"rain {number}")).json()
        assert turn["output_message"]["tool_calls"] == [CALL] and "completed_at" not in turn
        assert len(turn["steps"]) == 2 * number + 1
    scripted.queue("text;chunks=3")
    turn = conversation.resume(turn["turn_id"], rain(content="rain 4")).json()
    assert turn["output_message"]["content"] == ANSWER and len(turn["steps"]) == 9
    said = [("assistant", CALLED), ("tool", "rain 1"), ("assistant", CALLED), ("tool", "rain 2")]
    assert messages(scripted)[1:5] == said


@pytest.mark.parametrize("stream", [True, False])
def test_what_fails_after_a_resume(api: Api, scripted: RunningServer, stream: bool) -> None:
    """It is as early as the beginning of a turn: the status is true, streamed or not."""
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    scripted.queue("status;code=500")
    answer = conversation.resume(turn_id, rain(), stream=stream)
    error = check_error(answer, 502)
    assert error["instance"].endswith(f"/turn/{turn_id}")
    assert conversation.outcome(turn_id)["error"]["status"] == 502
    replayed = parse(conversation.replay(turn_id).content)
    assert replayed[-1].kind == "error" and kinds(replayed)[:1] == ["turn_start"]
    assert len(conversation.get(turn_id).json()["steps"]) == 2
    assert waiting(conversation, "once more")["output_message"]["tool_calls"]


def test_what_fails_later_after_a_resume(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    scripted.queue("cut;chunks=2;gap_ms=30")
    raw = conversation.resume(turn_id, rain(), stream=True).content
    frames = parse(raw)
    assert frames[-1].kind == "error" and text_of(frames) == "The answer"
    assert conversation.get(turn_id).json()["output_message"]["content"] == "The answer"
    assert parse(conversation.replay(turn_id).content)[-len(frames) :] == frames


def test_only_a_waiting_turn_is_resumed(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api)
    completed = waiting(conversation)["turn_id"]
    conversation.resume(completed, rain())
    failed = waiting(conversation)["turn_id"]
    scripted.queue("status;code=500")
    conversation.resume(failed, rain())
    cancelled = waiting(conversation)["turn_id"]
    assert conversation.cancel(cancelled).status_code == 200
    abandoned = waiting(conversation)["turn_id"]
    open_turn = waiting(conversation)["turn_id"]
    for turn_id, status in (
        (completed, "completed"), (failed, "failed"), (cancelled, "cancelled"), (abandoned, "abandoned"),
    ):  # fmt: skip
        for stream in (True, False):
            check_error(conversation.resume(turn_id, rain(content="again"), stream=stream), 409, status)
        assert conversation.outcome(turn_id)["status"] == status
    check_error(conversation.resume("nope", rain()), 404, "nope")
    other = weather_man(api)
    check_error(other.resume(open_turn, rain()), 404, open_turn)
    assert conversation.resume(open_turn, rain()).status_code == 200


@pytest.mark.parametrize(
    ("body", "mention"),
    [
        ({}, "tool_responses"),
        ({"tool_responses": None}, "tool_responses"),
        ({"tool_responses": {}}, "tool_responses"),
        ({"tool_responses": [{"call_id": "call_0", "tool_name": "weather"}]}, "content"),
        ({"tool_responses": [{"call_id": 0, "tool_name": "weather", "content": "x"}]}, "call_id"),
        ({"tool_responses": [{**rain(), "role": "tool"}]}, "role"),
        ({"tool_responses": [rain()], "stream": "yes"}, "stream"),
        ({"tool_responses": [rain()], "tool_choice": "auto"}, "tool_choice"),
        ({"tool_responses": [rain(content=7)]}, "tool_responses[0].content"),
    ],
)
def test_bodies_that_resume_nothing(api: Api, body: dict[str, Any], mention: str) -> None:
    conversation = weather_man(api)
    turn = waiting(conversation)
    answer = conversation.http.post(f"{conversation.path}/turn/{turn['turn_id']}/resume", json=body)
    check_error(answer, 400, mention)
    assert conversation.get(turn["turn_id"]).json() == turn
