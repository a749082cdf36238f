"""The `Agent` helper of llama-stack-client 0.2.x works unchanged: over /v1, streamed and not, with client tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.clients.interpreters import Client, clients
from tests.server.process import Replaystack

GREEDY = {"strategy": {"type": "greedy"}, "max_tokens": 120}
"""Twice the tokens of a required call; the tiny model's text continues to the limit."""
FORCED = {"tool_config": {"tool_choice": "required"}}
CONVERSATIONS: dict[str, dict[str, Any]] = {
    "plain": {
        "model": "demo/extractive",
        "instructions": "The quiet hour begins at ten.",
        "questions": ["When does the quiet hour begin?"],
    },
    "document": {
        "model": "demo/extractive",
        "documents": [{"content": "The harbour opens at nine.", "mime_type": "text/plain"}],
        "questions": ["When does the harbour open?"],
    },
    "several turns": {
        "model": "demo/extractive",
        "tools": ["add", "switch_light"],
        "questions": ["Please switch the light on.", "Add 4 and 5.", "Add 20 and 22."],
    },
    "one call": {"model": "scripted/tools", "tools": ["get_boiling_point"], "questions": ["How hot?"]},
    "three calls": {
        "model": "scripted/tools;calls=3",
        "tools": ["get_boiling_point", "add"],
        "questions": ["How hot?"],
    },
    "a tool that fails": {"model": "scripted/tools", "tools": ["broken"], "questions": ["Sunny?"]},
    "no JSON": {"model": "scripted/tools;arguments={oops", "tools": ["add"], "questions": ["How many?"]},
    "limit": {
        "model": "scripted/tools",
        "tools": ["add"],
        "config": {"max_infer_iters": 1},
        "questions": ["How many?"],
    },
    "unknown model": {"model": "none/none", "questions": ["Who?"]},
    "refused": {"model": "scripted/status;code=429;retry_after=1", "questions": ["Why?"]},
    "broken off": {"model": "scripted/cut;chunks=3;gap_ms=300", "questions": ["Why?"]},
    "real model": {
        "model": "llama/tiny-random",
        "tools": ["add", "switch_light"],
        "sampling_params": GREEDY,
        "config": {"tool_config": {"tool_choice": "switch_light"}},
        "questions": ["Switch the light on."],
    },
    "real model, any tool": {
        "model": "llama/tiny-random",
        "tools": ["switch_light"],
        "sampling_params": GREEDY,
        "config": FORCED,
        "questions": ["Switch the light on."],
    },
    "real model, cut off": {
        "model": "llama/tiny-random",
        "tools": ["switch_light"],
        "sampling_params": {**GREEDY, "max_tokens": 50},
        "config": FORCED,
        "questions": ["Switch the light on."],
    },
}
WITH_TOOLS = {
    "one call": ("get_boiling_point", 1),
    "three calls": ("get_boiling_point", 3),
    "a tool that fails": ("broken", 1),
    "real model": ("switch_light", 1),
    "real model, any tool": ("switch_light", 1),
}
LOOP = ["inference", "tool_execution", "inference"]

Conversation = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module", params=clients("0.2"), ids=lambda client: client.version)
def conversation(request: pytest.FixtureRequest, server: Replaystack) -> Conversation:
    """The client's results of a conversation: per question, streamed and whole. All are held in one
    process."""
    client: Client = request.param
    found: dict[str, list[dict[str, Any]]] = client.run("agent_0_2", server.url, CONVERSATIONS)
    return cache(lambda name: found[name])


@pytest.mark.parametrize("name", ["plain", "document", "several turns", *WITH_TOOLS])
def test_a_turn_is_the_same_streamed_and_whole(conversation: Conversation, name: str) -> None:
    for answer in conversation(name):
        streamed, whole = answer["streamed"]["turn"], answer["whole"]
        for turn in (streamed, whole):
            assert turn["completed"]
            assert turn["stored"], "the server gives another turn when asked again"
            assert turn["times_increase"]
            assert turn["calls_left"] == 0
        if "real model" not in name:
            assert streamed["text"] == whole["text"]
        assert [step["type"] for step in streamed["steps"]] == [step["type"] for step in whole["steps"]]
        assert answer["streamed"]["streamed_text"].strip() == streamed["text"].strip()


def test_an_answer_is_printed_as_it_comes(conversation: Conversation) -> None:
    [answer] = conversation("plain")
    text = "My instructions say: “The quiet hour begins at ten.”"
    assert answer["whole"]["text"] == text
    assert answer["whole"]["stop_reason"] == "end_of_turn"
    assert "".join(answer["streamed"]["printed"]) == f"inference> {text}"
    assert answer["streamed"]["printed"].count("inference> ") == 1
    kinds = answer["streamed"]["kinds"]
    assert [kinds[0], kinds[-1]] == ["turn_start", "turn_complete"]
    assert kinds.count("step_progress") > 3


def test_a_document_is_answered_from(conversation: Conversation) -> None:
    [answer] = conversation("document")
    assert answer["whole"]["text"].startswith("The harbour opens at nine.")


def test_tools_are_called_over_several_turns(conversation: Conversation) -> None:
    answers = conversation("several turns")
    expected = [
        ("switch_light", {"on": True}),
        ("add", {"first": 4, "second": 5}),
        ("add", {"first": 20, "second": 22}),
    ]
    for answer, (tool, arguments) in zip(answers, expected, strict=True):
        for turn in (answer["streamed"]["turn"], answer["whole"]):
            [[_, name, sent]] = turn["steps"][1]["calls"]
            assert (name, json.loads(sent)) == (tool, arguments)
    assert [answer["whole"]["text"] for answer in answers] == [
        'switch_light answered: "the light is on"',
        "add answered: 9",
        "add answered: 42",
    ]


@pytest.mark.parametrize("name", WITH_TOOLS)
def test_client_tools_run_and_the_turn_goes_on(conversation: Conversation, name: str) -> None:
    tool, count = WITH_TOOLS[name]
    for answer in conversation(name):
        for turn in (answer["streamed"]["turn"], answer["whole"]):
            assert [step["type"] for step in turn["steps"]] == LOOP
            execution = turn["steps"][1]
            assert [call[1] for call in execution["calls"]] == [tool] * count
            assert [call[0] for call in execution["calls"]] == [one[0] for one in execution["responses"]]
            assert len({call[0] for call in execution["calls"]}) == count
            assert all(isinstance(json.loads(call[2]), dict) for call in execution["calls"])
            assert turn["text"]


@pytest.mark.parametrize("name", WITH_TOOLS)
def test_a_stream_waits_for_the_tools_and_is_continued(conversation: Conversation, name: str) -> None:
    """The helper runs tools when a stream ends in `turn_awaiting_input`, and reads on where the resumed one begins."""
    for answer in conversation(name):
        kinds = answer["streamed"]["kinds"]
        waits = kinds.index("turn_awaiting_input")
        assert kinds[waits - 1 : waits + 3] == [
            "step_complete",
            "turn_awaiting_input",
            "step_start",
            "step_complete",
        ]
        assert (
            kinds.count("turn_start")
            == kinds.count("turn_complete")
            == kinds.count("turn_awaiting_input")
            == 1
        )
        assert kinds.count("step_start") == kinds.count("step_complete") == 3


@pytest.mark.parametrize("name", WITH_TOOLS)
def test_a_call_comes_in_fragments_and_then_whole(conversation: Conversation, name: str) -> None:
    _, count = WITH_TOOLS[name]
    for answer in conversation(name):
        streamed = answer["streamed"]
        calls = streamed["turn"]["steps"][1]["calls"]
        assert streamed["whole_calls"] == [[call[0], call[2], "succeeded"] for call in calls]
        assert streamed["fragments"] == "".join(call[2] for call in calls)
        assert len(streamed["whole_calls"]) == count


def test_tools_are_printed_with_their_answers(conversation: Conversation) -> None:
    [answer] = conversation("one call")
    arguments = '{"liquid_name":"scripted","celsius":true}'
    printed = answer["streamed"]["printed"]
    begins = printed.index(f"tool_execution> Tool:get_boiling_point Args:{arguments}")
    assert printed[begins + 1] == "tool_execution> Tool:get_boiling_point Response:-100"
    assert printed.count("inference> ") == 2


def test_what_a_tool_adds_to_its_answer_is_kept(conversation: Conversation) -> None:
    [answer] = conversation("one call")
    assert answer["whole"]["steps"][1]["responses"] == [
        ["call_0", "get_boiling_point", "-100", {"asked": "scripted"}]
    ]


def test_a_tool_that_fails_is_an_answer_to_the_model(conversation: Conversation) -> None:
    [answer] = conversation("a tool that fails")
    [[_, _, content, _]] = answer["whole"]["steps"][1]["responses"]
    assert content == "Error when running tool: no weather in scripted"


def test_arguments_that_are_no_json_never_reach_the_client(conversation: Conversation) -> None:
    [answer] = conversation("no JSON")
    streamed = answer["streamed"]
    assert "turn_awaiting_input" not in streamed["kinds"]
    assert streamed["whole_calls"] == [["call_0", "{oops", "failed"]]
    for turn in (streamed["turn"], answer["whole"]):
        assert [step["type"] for step in turn["steps"]] == LOOP
        [[_, _, content, _]] = turn["steps"][1]["responses"]
        assert "not a JSON object" in content


def test_the_limit_of_inferences_ends_a_turn_without_calls(conversation: Conversation) -> None:
    """With calls in a turn that is complete, the helper would resume it."""
    [answer] = conversation("limit")
    for turn in (answer["streamed"]["turn"], answer["whole"]):
        assert turn["calls_left"] == 0
        assert turn["stop_reason"] == "out_of_tokens"
        assert [step["type"] for step in turn["steps"]] == ["inference"]


@pytest.mark.parametrize(("name", "status"), [("unknown model", 400), ("refused", 429)])
def test_what_fails_at_once_is_raised_with_its_status(
    conversation: Conversation, name: str, status: int
) -> None:
    [answer] = conversation(name)
    for way in ("streamed", "whole"):
        assert answer[way]["status"] == status
        assert answer[way]["body"]["status"] == status
        assert answer[way]["body"]["detail"]


def test_what_fails_later_is_printed_and_raised(conversation: Conversation) -> None:
    [answer] = conversation("broken off")
    error = answer["streamed"]["error"]
    assert error["status"] == 502
    assert answer["streamed"]["printed"][-1] == error["message"]
    assert answer["whole"]["error"] == f"Turn did not complete. Error: {error['message']}"


def test_a_call_cut_off_by_max_tokens_ends_the_turn(conversation: Conversation) -> None:
    [answer] = conversation("real model, cut off")
    for turn in (answer["streamed"]["turn"], answer["whole"]):
        assert turn["completed"]
        assert turn["stop_reason"] == "out_of_tokens"
        assert turn["calls_left"] == 0
    assert "turn_awaiting_input" not in answer["streamed"]["kinds"]
