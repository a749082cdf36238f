"""Turns with tools that the server runs."""

from __future__ import annotations

from typing import Any

from tests.server.api import ANSWER, Api, kinds, parse

CODE = "scripted/tools;name=code_interpreter;arguments="
INTERPRETER = {"toolgroups": ["builtin::code_interpreter"]}


def test_a_tool_of_the_server_is_one_step_of_the_turn(api: Api) -> None:
    conversation = api.conversation(CODE + '{"code":"6 * 7"}', **INTERPRETER)
    frames = parse(conversation.streamed())
    assert kinds(frames) == [
        "turn_start", "step_start", "step_progress", "step_complete",
        "step_start", "step_complete",
        "step_start", "step_progress", "step_complete", "turn_complete",
    ]  # fmt: skip
    turn: dict[str, Any] = frames[-1].payload["turn"]
    step = turn["steps"][1]
    assert step["step_type"] == "tool_execution"
    [response] = step["tool_responses"]
    assert response["call_id"] == "call_0" and "42" in str(response["content"])
    assert turn["output_message"]["content"] == ANSWER
    assert conversation.get(turn["turn_id"]).json() == turn
    assert parse(conversation.replay(turn["turn_id"]).content) == frames


def test_a_bad_call_goes_back_to_the_model(api: Api) -> None:
    turn = api.conversation(CODE + '{"cod":"1"}', **INTERPRETER).turn("Go.")
    [response] = turn["steps"][1]["tool_responses"]
    assert "do not match the schema" in response["content"] and turn["output_message"]["content"] == ANSWER


def test_toolgroups_of_a_turn_only(api: Api) -> None:
    conversation = api.conversation(CODE + '{"code":"6 * 7"}')
    turn = conversation.turn("Go.", **INTERPRETER)
    assert "42" in str(turn["steps"][1]["tool_responses"][0]["content"])
    assert len(conversation.turn("Again.")["steps"]) == 1, "the tools were that turn's only"


def test_unknown_groups_and_secrets_are_refused(api: Api) -> None:
    for groups, problem in (
        (["builtin::nothing"], "names an unknown toolgroup 'builtin::nothing'"),
        (
            [{"name": "builtin::code_interpreter", "args": {"api_key": "x"}}],
            "args.api_key looks like a secret",
        ),
        (
            [{"name": "builtin::code_interpreter", "args": {"a": [{"Token": "x"}]}}],
            "args.a.0.Token looks like",
        ),
    ):
        body = {"agent_config": {"model": "scripted/text", "instructions": "", "toolgroups": groups}}
        answer = api.http.post("/v1alpha/agents", json=body)
        assert answer.status_code == 400 and problem in answer.json()["detail"]
