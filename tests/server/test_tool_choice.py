"""How tools are used: choices, limits, the instructions, answers with a schema, and a real model's grammar."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.api import ANSWER, TEXT, Api, check_error, parse
from tests.server.conftest import FreshServer
from tests.server.tool_calls import CLOCK, WEATHER, asked, messages, rain, user, waiting, weather_man
from tests.servers.processes import RunningServer

BOTH = [WEATHER, CLOCK]


def offered(request: dict[str, Any]) -> tuple[list[str], Any]:
    """The tools of a request that reached the model, and its choice."""
    return [tool["function"]["name"] for tool in request.get("tools", [])], request.get("tool_choice")


@pytest.mark.parametrize(
    ("agent", "turn", "reaches"),
    [
        ({}, None, (["weather", "clock"], None)),
        ({"tool_choice": "auto"}, None, (["weather", "clock"], None)),
        ({"tool_choice": "required"}, None, (["weather", "clock"], "required")),
        ({"tool_choice": "none"}, None, ([], None)),
        ({"tool_config": {"tool_choice": "required"}}, None, (["weather", "clock"], "required")),
        ({"tool_config": {"tool_choice": "clock"}}, None, (["clock"], "required")),
        ({"tool_choice": "none"}, {"tool_choice": "required"}, (["weather", "clock"], "required")),
        ({"tool_choice": "required"}, {"tool_choice": "none"}, ([], None)),
        ({"tool_choice": "required"}, {"tool_choice": "auto"}, (["weather", "clock"], None)),
        ({"tool_config": {"tool_choice": "clock"}}, {"tool_choice": "weather"}, (["weather"], "required")),
        (
            {"tool_choice": "required", "tool_config": {"system_message_behavior": "append"}},
            None,
            (["weather", "clock"], "required"),
        ),
    ],
)
def test_what_the_model_may_call(
    api: Api, scripted: RunningServer, agent: dict[str, Any], turn: dict[str, Any] | None, reaches: Any
) -> None:
    conversation = api.conversation(TEXT, client_tools=BOTH, **agent)
    conversation.turn(tool_config=turn)
    assert offered(asked(scripted)) == reaches


def test_a_forced_call_is_forced_once(api: Api, scripted: RunningServer) -> None:
    """Were it forced for the whole turn, the model could never answer."""
    conversation = weather_man(api, tool_choice="required", client_tools=BOTH)
    turn_id = waiting(conversation)["turn_id"]
    assert offered(asked(scripted)) == (["weather", "clock"], "required")
    conversation.resume(turn_id, rain())
    assert offered(asked(scripted)) == (["weather", "clock"], None)
    waiting(conversation, "And now?")
    assert offered(asked(scripted)) == (["weather", "clock"], "required")


def test_the_choice_of_a_turn_holds_over_its_resume(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api, tool_choice="none", client_tools=BOTH)
    conversation.turn()
    assert offered(asked(scripted)) == ([], None)
    turn_id = waiting(conversation, tool_config={"tool_choice": "weather"})["turn_id"]
    assert offered(asked(scripted)) == (["weather"], "required")
    conversation.resume(turn_id, rain())
    assert offered(asked(scripted)) == (["weather", "clock"], None)


@pytest.mark.parametrize("choice", ["oracle", "", "Auto"])
def test_a_choice_that_names_no_tool(api: Api, choice: str) -> None:
    conversation = weather_man(api)
    check_error(
        conversation.post(tool_config={"tool_choice": choice}), 400, "tool_config.tool_choice", "weather"
    )
    assert conversation.show()["turns"] == []
    config = {"model": TEXT, "instructions": "", "client_tools": BOTH, "tool_config": {"tool_choice": choice}}
    answer = api.http.post("/v1alpha/agents", json={"agent_config": config})
    check_error(answer, 400, "agent_config.tool_config.tool_choice")


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_limit_of_inferences_counts_across_resumes(api: Api, scripted: RunningServer, limit: int) -> None:
    conversation = weather_man(api, "scripted/tools;again=1", max_infer_iters=limit)
    answer = conversation.post()
    for _ in range(limit - 1):
        assert answer.headers["x-turn-status"] == "awaiting_input"
        answer = conversation.resume(answer.json()["turn_id"], rain())
    turn = answer.json()
    assert answer.headers["x-turn-status"] == "completed"
    assert turn["output_message"] == {"role": "assistant", "content": "", "stop_reason": "out_of_tokens"}
    assert len(turn["steps"]) == 2 * limit - 1 and turn["completed_at"]
    assert turn["steps"][-1]["model_response"]["tool_calls"], "the step keeps what the model said"
    check_error(conversation.resume(turn["turn_id"], rain()), 409, "completed")
    assert parse(conversation.replay(turn["turn_id"]).content)[-1].payload["turn"] == turn
    waiting(conversation, "Once more?") if limit > 1 else conversation.turn("Once more?")
    said = messages(scripted)
    assert said[-2:] == [("tool", "The call was not executed."), ("user", "Once more?")]


def test_refused_calls_count_towards_the_limit(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api, "scripted/tools;again=1;name=oracle", max_infer_iters=4)
    turn = conversation.turn()
    assert turn["output_message"]["stop_reason"] == "out_of_tokens"
    assert [step["step_type"] for step in turn["steps"]].count("inference") == 4
    assert scripted.counts()["requests"] == 4


def test_the_instructions_may_say_where_the_tools_go(api: Api, scripted: RunningServer) -> None:
    place = "Use {{function_definitions}} only."
    for behavior, said in (
        ("replace", '"name":"weather"'),
        ("append", "{{function_definitions}}"),
        (None, "{{"),
    ):
        config = {"system_message_behavior": behavior}
        weather_man(api, TEXT, instructions=place, tool_config=config).turn()
        role, text = messages(scripted)[0]
        assert role == "system" and said in text and text.startswith("Use ")
    weather_man(api, TEXT, instructions=place).turn(tool_config={"system_message_behavior": "replace"})
    [definition] = json.loads(messages(scripted)[0][1].removeprefix("Use ").removesuffix(" only."))
    assert definition["parameters"] == WEATHER["input_schema"]


SCHEMA = {
    "type": "object",
    "properties": {"model": {"type": "string"}, "stream": {"const": True}},
    "required": ["model", "stream"],
}
WANTED = {"type": "json_schema", "json_schema": SCHEMA}


def test_an_answer_with_a_schema_may_come_after_calls(api: Api, scripted: RunningServer) -> None:
    """Calls have no schema to fit; the final answer has."""
    conversation = weather_man(api, response_format=WANTED)
    turn_id = waiting(conversation)["turn_id"]
    scripted.queue("echo")
    ended = conversation.resume(turn_id, rain())
    assert ended.headers["x-turn-status"] == "completed"
    assert json.loads(ended.json()["output_message"]["content"])["model"] == "tools"
    assert asked(scripted)["response_format"]["json_schema"]["schema"] == SCHEMA

    turn_id = waiting(conversation)["turn_id"]
    check_error(conversation.resume(turn_id, rain()), 502, "response_format", "JSON")
    outcome = conversation.outcome(turn_id)
    assert outcome["status"] == "failed" and "response_format" in outcome["error"]["detail"]


@pytest.mark.parametrize(
    ("schema", "mention"),
    [
        ({"type": "array"}, "is not of type"),
        ({"properties": {"stream": {"const": False}}}, "['stream']"),
        ({"required": ["nowhere"]}, "nowhere"),
    ],
)
def test_an_answer_that_does_not_fit_ends_its_stream_with_the_reason(
    api: Api, schema: dict[str, Any], mention: str
) -> None:
    wanted = {"type": "json_schema", "json_schema": schema}
    conversation = api.conversation("scripted/echo", response_format=wanted)
    frames = parse(conversation.streamed())
    assert frames[-1].kind == "error"
    error = frames[-1].value["error"]
    assert error["status"] == 502 and mention in error["detail"] and "response_format" in error["detail"]
    turn_id = frames[0].payload["turn_id"]
    assert conversation.get(turn_id).json()["steps"] == []
    assert parse(conversation.replay(turn_id).content) == frames


@pytest.mark.parametrize("field", ["client_tools", "response_format"])
@pytest.mark.parametrize("reference", ["$ref", "$schema"])
def test_no_schema_makes_the_server_ask_elsewhere(
    api: Api, scripted: RunningServer, field: str, reference: str
) -> None:
    """A model server that a caller may name: it must not receive a request."""
    schema = {reference: f"http://127.0.0.1:{scripted.port}/v1/models", "type": "object"}
    value: Any = [{"name": "x", "input_schema": schema}]
    if field == "response_format":
        value = {"type": "json_schema", "json_schema": schema}
    before = scripted.counts()["connections"]
    config = {"model": TEXT, "instructions": "", field: value}
    check_error(api.http.post("/v1alpha/agents", json={"agent_config": config}), 400, field)
    assert scripted.counts()["connections"] == before + 1, "the question after the counts"


def test_agents_with_too_many_tools(api: Api) -> None:
    many = [{**WEATHER, "name": f"tool_{number}"} for number in range(5_000)]
    config = {"model": TEXT, "instructions": "", "client_tools": many}
    answer = api.http.post("/v1alpha/agents", json={"agent_config": config})
    check_error(answer, 400, "client_tools has 5000 tools")
    taken = weather_man(api, client_tools=many[:1_000])
    assert waiting(taken)["output_message"]["tool_calls"][0]["tool_name"] == "tool_0"
    large = [{**WEATHER, "description": "x" * 900_000}]
    assert waiting(weather_man(api, client_tools=large))["output_message"]["tool_calls"]


def test_a_real_model_calls_a_tool_by_its_grammar(
    fresh_server: FreshServer, llama_cpp: RunningServer
) -> None:
    settings = [{"id": "llama", "base_url": llama_cpp.base_url, "flavour": "llama.cpp"}]
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "Piran"]}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    }
    server = fresh_server(environment={"REPLAYSTACK_INFERENCE": json.dumps(settings)})
    with server.http() as client:
        conversation = Api(client).conversation(
            "llama/tiny-random",
            client_tools=[{**WEATHER, "input_schema": schema}, CLOCK],
            tool_choice="required",
            sampling_params={"max_tokens": 200},
        )
        raw = conversation.streamed([user("Weather?")], tool_config={"tool_choice": "weather"})
        turn = parse(raw)[-1].payload["turn"]
        [call] = turn["output_message"]["tool_calls"]
        assert call["tool_name"] == "weather" and call["call_id"]
        arguments = json.loads(call["arguments"])
        assert arguments["city"] in ("Oslo", "Piran") and isinstance(arguments["days"], int)
        ended = conversation.resume(turn["turn_id"], rain(call["call_id"])).json()
        assert [step["step_type"] for step in ended["steps"]][:2] == ["inference", "tool_execution"]
        if ended["output_message"].get("tool_calls") is None:
            assert ended["completed_at"] and ended["output_message"]["content"] != ANSWER
        usage = conversation.outcome(turn["turn_id"])["usage"]
        assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0


def test_a_grammar_goes_to_a_model_that_takes_one(
    fresh_server: FreshServer, llama_cpp: RunningServer
) -> None:
    settings = [{"id": "llama", "base_url": llama_cpp.base_url, "flavour": "llama.cpp"}]
    grammar = {"type": "grammar", "bnf": {"grammar": 'root ::= "yes" | "no"'}}
    server = fresh_server(environment={"REPLAYSTACK_INFERENCE": json.dumps(settings)})
    with server.http() as client:
        conversation = Api(client).conversation(
            "llama/tiny-random", response_format=grammar, sampling_params={"max_tokens": 20}
        )
        assert conversation.turn("Yes or no?")["output_message"]["content"] in ("yes", "no")
        refused = Api(client).conversation("demo/extractive", response_format=grammar)
        check_error(refused.post([user("Yes or no?")]), 400, "demo takes no grammar")
