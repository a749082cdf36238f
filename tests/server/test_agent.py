"""Agents over HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.server.api import TEXT, TIME, UUID, Api, check_error
from tests.server.conftest import FreshServer


def created(api: Api, **config: Any) -> dict[str, Any]:
    """The stored configuration of a new agent."""
    agent_id = api.create_agent(**config)
    shown = api.http.get(f"/v1alpha/agents/{agent_id}")
    assert shown.status_code == 200
    assert shown.json()["agent_id"] == agent_id
    stored: dict[str, Any] = shown.json()["agent_config"]
    return stored


def refused(api: Api, **config: Any) -> str:
    body = {"agent_config": {"model": TEXT, "instructions": "", **config}}
    return str(check_error(api.http.post("/v1alpha/agents", json=body), 400)["detail"])


def test_an_agent_is_created_shown_and_deleted(api: Api) -> None:
    answer = api.http.post(
        "/v1alpha/agents",
        json={"agent_config": {"model": TEXT, "instructions": "Be brief.", "name": "Ada"}},
    )
    assert answer.status_code == 200
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-trace-id"])
    assert set(answer.json()) == {"agent_id"}
    agent_id = answer.json()["agent_id"]
    assert UUID.fullmatch(agent_id)

    shown = api.http.get(f"/v1alpha/agents/{agent_id}")
    assert set(shown.json()) == {"agent_id", "agent_config", "created_at"}
    assert TIME.fullmatch(shown.json()["created_at"])
    config = shown.json()["agent_config"]
    assert config["instructions"] == "Be brief." and config["name"] == "Ada"
    assert None not in config.values()

    gone = api.http.delete(f"/v1alpha/agents/{agent_id}")
    assert gone.status_code == 200 and gone.content == b""
    check_error(api.http.get(f"/v1alpha/agents/{agent_id}"), 404, agent_id)
    check_error(api.http.delete(f"/v1alpha/agents/{agent_id}"), 404, agent_id)


def test_the_v1_alias_answers_alike(api: Api) -> None:
    agent_id = Api(api.http, "/v1").create_agent()
    assert (
        api.http.get(f"/v1/agents/{agent_id}").content == api.http.get(f"/v1alpha/agents/{agent_id}").content
    )


def test_a_client_of_another_version_is_served(api: Api) -> None:
    answer = api.http.get("/v1alpha/agents", headers={"x-llamastack-client-version": "0.2.12"})
    assert answer.status_code == 200


def test_a_whole_configuration_comes_back(api: Api) -> None:
    config: dict[str, Any] = {
        "model": TEXT,
        "instructions": "Answer.",
        "name": "whole",
        "sampling_params": {
            "strategy": {"type": "top_p", "temperature": 0.5, "top_p": 0.9},
            "max_tokens": 17,
            "repetition_penalty": 1.5,
            "stop": ["a", "b"],
        },
        "client_tools": [
            {
                "name": "weather",
                "description": "Tells the weather.",
                "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
                "metadata": {"k": 1},
            }
        ],
        "tool_choice": "auto",
        "tool_prompt_format": "json",
        "tool_config": {"tool_choice": "auto", "system_message_behavior": "append"},
        "max_infer_iters": 3,
        "enable_session_persistence": True,
        "response_format": {"type": "json_schema", "json_schema": {"type": "object"}},
        "input_shields": [],
        "output_shields": [],
        "toolgroups": [],
    }
    stored = created(api, **config)
    for name, value in config.items():
        if value != []:
            assert stored[name] == value, name


def test_defaults_are_filled_in(api: Api) -> None:
    stored = created(api)
    assert stored["max_infer_iters"] == 10
    assert stored["enable_session_persistence"] is False


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({}, {"strategy": {"type": "greedy"}}),
        ({"max_tokens": 5}, {"strategy": {"type": "greedy"}, "max_tokens": 5}),
        ({"temperature": 0.7}, {"strategy": {"type": "top_p", "temperature": 0.7}}),
        ({"temperature": 0}, {"strategy": {"type": "greedy"}}),
        (
            {"top_p": 0.8, "temperature": 0.1},
            {"strategy": {"type": "top_p", "temperature": 0.1, "top_p": 0.8}},
        ),
        ({"top_k": 5}, {"strategy": {"type": "top_k", "top_k": 5}}),
        ({"repeat_penalty": 1.5}, {"strategy": {"type": "greedy"}, "repetition_penalty": 1.5}),
        ({"strategy": {"type": "greedy"}, "stop": None}, {"strategy": {"type": "greedy"}}),
        (
            {"strategy": {"type": "greedy"}, "max_tokens": 0},
            {"strategy": {"type": "greedy"}, "max_tokens": 0},
        ),
    ],
)
def test_sampling_parameters_that_real_clients_send(
    api: Api, given: dict[str, Any], stored: dict[str, Any]
) -> None:
    assert created(api, sampling_params=given)["sampling_params"] == stored


def test_null_stands_for_an_absent_optional_field(api: Api) -> None:
    names = (
        "name sampling_params input_shields toolgroups client_tools tool_choice tool_config response_format"
    )
    nulls = dict.fromkeys([*names.split(), "max_infer_iters", "enable_session_persistence"])
    stored = created(api, **nulls)
    assert not {name for name in nulls if name in stored} - {"max_infer_iters", "enable_session_persistence"}


def test_the_older_form_of_client_tools(api: Api) -> None:
    tool = {
        "name": "add",
        "description": "Adds.",
        "parameters": [
            {"name": "a", "parameter_type": "int", "description": "left", "required": True, "default": None},
            {
                "name": "b",
                "parameter_type": "float",
                "description": "right",
                "required": False,
                "default": 1.5,
            },
        ],
        "tool_prompt_format": "json",
        "metadata": None,
    }
    [stored] = created(api, client_tools=[tool])["client_tools"]
    schema = stored["input_schema"]
    assert schema["type"] == "object" and schema["required"] == ["a"]
    assert schema["properties"]["a"]["type"] == "integer" and "default" not in schema["properties"]["a"]
    assert schema["properties"]["b"]["type"] == "number" and schema["properties"]["b"]["default"] == 1.5
    assert "parameters" not in stored


@pytest.mark.parametrize(
    ("config", "mentions"),
    [
        ({"model": "  "}, ("agent_config.model", "/v1/models")),
        ({"max_infer_iters": 0}, ("agent_config.max_infer_iters", "0")),
        ({"max_infer_iters": -1}, ("agent_config.max_infer_iters", "-1")),
        ({"sampling_params": {"max_tokens": -1}}, ("sampling_params.max_tokens",)),
        ({"sampling_params": {"repetition_penalty": 9}}, ("sampling_params.repetition_penalty",)),
        ({"sampling_params": {"stop": list("abcde")}}, ("sampling_params.stop", "4")),
        ({"sampling_params": {"strategy": {"type": "top_k", "top_k": 0}}}, ("strategy.top_k",)),
        ({"sampling_params": {"strategy": {"type": "top_p", "temperature": -1}}}, ("temperature",)),
        ({"sampling_params": {"strategy": {"type": "top_p", "temperature": 1, "top_p": 1.5}}}, ("top_p",)),
        ({"sampling_params": {"strategy": {"type": "beam"}}}, ("strategy",)),
        ({"toolgroups": ["builtin::nope"]}, ("toolgroups[0]", "builtin::nope")),
        ({"input_shields": ["nope"]}, ("input_shields", "nope")),
        ({"output_shields": ["nope"]}, ("output_shields", "nope")),
        ({"tool_choice": "auto", "tool_config": {"tool_choice": "none"}}, ("tool_choice", "tool_config")),
        ({"tool_config": {"tool_choice": "no_such_tool"}}, ("tool_config.tool_choice", "no_such_tool")),
        ({"client_tools": [{"name": "x", "input_schema": {"type": 7}}]}, ("client_tools[0]",)),
        ({"client_tools": [{"name": "x"}, {"name": "x"}]}, ("client_tools[1].name",)),
        ({"response_format": {"type": "json_schema", "json_schema": {"type": 7}}}, ("json_schema",)),
        ({"instruction": "typo"}, ("instruction", "instructions")),
        ({"tools": []}, ("toolgroups", "client_tools")),
        ({"sampling_params": {"temprature": 1}}, ("temprature", "temperature")),
    ],
)
def test_what_is_known_to_be_wrong_is_refused(
    api: Api, config: dict[str, Any], mentions: tuple[str, ...]
) -> None:
    detail = refused(api, **config)
    for mention in mentions:
        assert mention in detail


def test_an_unknown_model_is_refused_when_a_turn_starts(api: Api) -> None:
    conversation = api.conversation("nowhere/model")
    check_error(conversation.post(), 400, "nowhere/model")
    assert conversation.show()["turns"] == []


def test_agents_are_listed_in_pages(fresh_server: FreshServer) -> None:
    with fresh_server().http() as client:
        api = Api(client)
        assert api.agents().json() == {"data": [], "has_more": False, "url": "/v1alpha/agents"}
        ids = [api.create_agent(name=f"agent {number}") for number in range(5)]

        def page(**query: Any) -> tuple[list[str], bool]:
            answer = api.agents(**query)
            assert answer.status_code == 200, answer.text
            assert answer.json()["url"] == "/v1alpha/agents"
            return [agent["agent_id"] for agent in answer.json()["data"]], answer.json()["has_more"]

        assert page() == (ids, False)
        assert page(limit=-1) == (ids, False)
        assert page(limit=5) == (ids, False)
        assert page(limit=4) == (ids[:4], True)
        assert page(start_index=3, limit=2) == (ids[3:], False)
        assert page(start_index=3) == (ids[3:], False)
        assert page(start_index=9) == ([], False)
        assert page(limit=0) == ([], True)
        assert page(start_index=5, limit=0) == ([], False)
        for query in (
            {"limit": -2},
            {"start_index": -1},
            {"limit": "x"},
            {"limit": "1.5"},
            {"start_index": "1e3"},
        ):
            check_error(api.agents(**query), 400, next(iter(query)))
        assert api.http.get("/v1/agents").json()["url"] == "/v1/agents"

        client.delete(f"/v1alpha/agents/{ids[1]}")
        assert page() == ([ids[0], *ids[2:]], False)


def test_deleting_an_agent_deletes_its_sessions_and_turns(api: Api) -> None:
    conversation = api.conversation()
    turn = conversation.turn()
    other = api.create_session(conversation.agent_id)
    assert api.http.delete(f"/v1alpha/agents/{conversation.agent_id}").status_code == 200
    for path in (
        conversation.path,
        f"{conversation.path}/turn/{turn['turn_id']}",
        f"{conversation.path}/turn/{turn['turn_id']}/outcome",
        f"{conversation.path}/turn/{turn['turn_id']}/stream",
        f"{conversation.path}/turn/{turn['turn_id']}/step/{turn['steps'][0]['step_id']}",
        f"/v1alpha/agents/{conversation.agent_id}/session/{other}",
        f"/v1alpha/agents/{conversation.agent_id}/sessions",
    ):
        check_error(api.http.get(path), 404)
    check_error(conversation.post(), 404)
    check_error(
        api.http.post(f"/v1alpha/agents/{conversation.agent_id}/session", json={"session_name": "x"}), 404
    )
