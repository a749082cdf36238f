"""Tools of the client: both forms of a definition, what is refused, and how tools are chosen."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.api.agent import AgentConfig as RequestedConfig
from schemas.api.agent import ToolConfig as RequestedToolConfig
from schemas.api.agent import ToolDef
from schemas.events.payload import AgentConfig, ToolConfig
from stack.domain.agent import create
from stack.domain.tool import (
    MAX_TOOLS,
    MAX_TOOLS_BYTES,
    check_tool_config,
    normalise_tools,
    strict_schema,
    tool_config,
)
from stack.errors import Invalid

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def normal(**fields: Any) -> ToolDef:
    tools = normalise_tools([ToolDef(name="weather", **fields)], "client_tools")
    assert tools is not None
    return tools[0]


def refusal(*tools: ToolDef) -> str:
    with pytest.raises(Invalid) as caught:
        normalise_tools(list(tools), "client_tools")
    return caught.value.detail


def test_a_definition_with_a_schema_is_kept_as_it_is() -> None:
    given = ToolDef(
        name="weather", description="The weather.", input_schema=CITY, output_schema={"type": "string"},
        toolgroup_id="sky", metadata={"k": [1]},
    )  # fmt: skip
    assert normalise_tools([given], "client_tools") == [given]


ANY: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        (CITY, CITY),
        (
            {"properties": {"xs": {"type": "array"}}},
            {"type": "object", "properties": {"xs": {"type": "array", "items": ANY}}},
        ),
        (
            {"type": "object", "properties": {"xs": {"type": "array", "items": {"type": "array"}}}},
            {
                "type": "object",
                "properties": {"xs": {"type": "array", "items": {"type": "array", "items": ANY}}},
            },
        ),
        (
            {"properties": {"x": {"anyOf": [{"type": ["array", "null"]}, {"type": "string"}]}}},
            {
                "type": "object",
                "properties": {
                    "x": {"anyOf": [{"type": ["array", "null"], "items": ANY}, {"type": "string"}]}
                },
            },
        ),
        (
            {"properties": {"x": {"$ref": "#/$defs/xs"}}, "$defs": {"xs": {"type": "array"}}},
            {
                "type": "object",
                "properties": {"x": {"$ref": "#/$defs/xs"}},
                "$defs": {"xs": {"type": "array", "items": ANY}},
            },
        ),
        (
            {
                "properties": {
                    "o": {"additionalProperties": {"type": "array", "prefixItems": [{"type": "array"}]}}
                }
            },
            {
                "type": "object",
                "properties": {
                    "o": {
                        "additionalProperties": {
                            "type": "array",
                            "prefixItems": [{"type": "array", "items": ANY}],
                            "items": ANY,
                        }
                    }
                },
            },
        ),
        # Names and values that only look like schemas.
        (
            {"properties": {"type": {"type": "string"}, "x": {"enum": [{"type": "array"}]}}},
            {
                "type": "object",
                "properties": {"type": {"type": "string"}, "x": {"enum": [{"type": "array"}]}},
            },
        ),
        (
            {"properties": {"items": {"type": "array", "default": [{"type": "array"}]}}},
            {
                "type": "object",
                "properties": {"items": {"type": "array", "default": [{"type": "array"}], "items": ANY}},
            },
        ),
    ],
)
def test_a_schema_is_sent_as_strict_servers_take_it(schema: dict[str, Any], strict: dict[str, Any]) -> None:
    before = repr(schema)
    assert strict_schema(schema) == strict
    assert repr(schema) == before, "what was recorded stays"
    assert strict_schema(strict) == strict


def test_a_deep_schema_is_sent() -> None:
    schema: dict[str, Any] = {"type": "array"}
    for _ in range(300):
        schema = {"type": "array", "items": schema}
    sent = strict_schema({"properties": {"x": schema}})["properties"]["x"]
    depth = 0
    while "items" in sent:
        sent, depth = sent["items"], depth + 1
    assert depth == 301


def test_no_tools_are_no_tools() -> None:
    assert normalise_tools(None, "client_tools") is None
    assert normalise_tools([], "client_tools") == []
    assert normal().input_schema is None


def test_the_older_parameters_become_a_schema() -> None:
    tool = normal(
        parameters=[
            {"name": "city", "parameter_type": "str", "description": "Where", "required": True},
            {"name": "days", "parameter_type": "int", "required": False},
            {"name": "exact", "parameter_type": "bool", "default": False},
            {"name": "share", "parameter_type": "float", "default": None},
            {"name": "tags", "parameter_type": "list", "items": {"type": "string"}},
            {"name": "more", "parameter_type": "dict", "title": "More"},
            {"name": "plain"},
        ]
    )
    assert tool.parameters is None
    assert tool.input_schema == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where"},
            "days": {"type": "integer"},
            "exact": {"type": "boolean", "default": False},
            "share": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "more": {"type": "object", "title": "More"},
            "plain": {"type": "string"},
        },
        "required": ["city", "share", "tags", "more", "plain"],
    }


@pytest.mark.parametrize("name", ["string", "integer", "number", "boolean", "array", "object"])
def test_the_names_of_json_schema_are_kept(name: str) -> None:
    schema = normal(parameters=[{"name": "x", "parameter_type": name}]).input_schema
    assert schema is not None and schema["properties"]["x"] == {"type": name}


def test_where_both_forms_are_given_the_schema_counts() -> None:
    assert normal(input_schema=CITY, parameters=[{"name": "other"}]).input_schema == CITY
    assert normal(parameters=[]).input_schema == {"type": "object", "properties": {}, "required": []}


@pytest.mark.parametrize(
    ("parameters", "mentions"),
    [
        ([{}], "parameters[0].name is missing"),
        ([{"name": ""}], "parameters[0].name is missing"),
        ([{"name": 7}], "parameters[0].name is missing"),
        ([{"name": "a"}, {"name": "b", "typ": "str"}], "parameters[1].typ is not a known field"),
        ([{"name": "a", "parameter_type": "List[str]"}], "input_schema is not a usable JSON Schema"),
        ([{"name": "a", "parameter_type": ["str"]}], "parameters[0].parameter_type is ['str']"),
        ([{"name": "a", "parameter_type": None}], "parameters[0].parameter_type is None"),
        ([{"name": "a", "items": {"type": "str"}}], "not a usable JSON Schema"),
        ([{"name": "a"}, {"name": "a"}], "parameters[1].name is 'a' for the second time"),
    ],
)
def test_parameters_that_say_nothing_usable(parameters: list[dict[str, Any]], mentions: str) -> None:
    assert mentions in refusal(ToolDef(name="weather", parameters=parameters))


@pytest.mark.parametrize(
    ("tool", "mentions"),
    [
        (ToolDef(name=" "), "client_tools[0].name is empty"),
        (ToolDef(name="x", input_schema={"type": "array"}), "input_schema.type is 'array'"),
        (
            ToolDef(name="x", input_schema={"type": ["object", "null"]}),
            "input_schema.type is ['object', 'null']",
        ),
        (ToolDef(name="x", input_schema={"type": "dict"}), "input_schema is not a usable JSON Schema"),
        (ToolDef(name="x", input_schema={"$ref": "http://127.0.0.1:9/x"}), "input_schema is not a usable"),
        (ToolDef(name="x", input_schema={"$ref": "file:///etc/passwd"}), "input_schema is not a usable"),
        (ToolDef(name="x", input_schema={"$schema": "http://127.0.0.1:9/x"}), "input_schema is not a usable"),
        (ToolDef(name="x", output_schema={"$ref": "http://127.0.0.1:9/x"}), "output_schema is not a usable"),
        (ToolDef(name="x", output_schema={"required": 1}), "output_schema is not a usable JSON Schema"),
    ],
)
def test_definitions_that_are_refused(tool: ToolDef, mentions: str) -> None:
    assert mentions in refusal(tool)


def test_two_tools_of_one_name() -> None:
    assert "client_tools[1].name is 'x' for the second time" in refusal(ToolDef(name="x"), ToolDef(name="x"))


def test_a_recursive_schema_and_an_output_of_any_type_are_fine() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert normal(input_schema=node, output_schema={"type": "array"}).input_schema == node


def test_too_many_tools_are_refused() -> None:
    tools = [ToolDef(name=f"tool_{number}", input_schema=CITY) for number in range(10_000)]
    assert f"client_tools has 10000 tools; at most {MAX_TOOLS}" in refusal(*tools)
    taken = normalise_tools(tools[:MAX_TOOLS], "client_tools")
    assert taken is not None and len(taken) == MAX_TOOLS


def test_tools_of_too_many_bytes_are_refused() -> None:
    assert f"at most {MAX_TOOLS_BYTES} are allowed" in refusal(ToolDef(name="x", description="x" * 2**21))
    assert normal(description="x" * 2**19).description == "x" * 2**19


@pytest.mark.parametrize("choice", [None, "auto", "required", "none", "weather"])
def test_choices_that_are_possible(choice: str | None) -> None:
    check_tool_config(RequestedToolConfig(tool_choice=choice), {"weather"}, "tool_config")
    check_tool_config(None, set(), "tool_config")


@pytest.mark.parametrize("choice", ["clock", "", "AUTO", "Weather"])
def test_a_choice_that_names_no_tool(choice: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_tool_config(RequestedToolConfig(tool_choice=choice), {"weather", "time"}, "tool_config")
    assert f"tool_config.tool_choice is {choice!r}" in caught.value.detail
    assert "(time, weather)" in caught.value.detail


def agent(**fields: Any) -> AgentConfig:
    return AgentConfig(model="m", instructions="", **fields)


@pytest.mark.parametrize(
    ("config", "turn", "used"),
    [
        (agent(), None, ToolConfig()),
        (agent(tool_choice="required"), None, ToolConfig(tool_choice="required")),
        (agent(tool_config=ToolConfig(tool_choice="none")), None, ToolConfig(tool_choice="none")),
        (agent(tool_choice="required"), ToolConfig(tool_choice="none"), ToolConfig(tool_choice="none")),
        (agent(tool_choice="required"), ToolConfig(), ToolConfig()),
        (
            agent(tool_choice="required", tool_config=ToolConfig(system_message_behavior="replace")),
            None,
            ToolConfig(tool_choice="required", system_message_behavior="replace"),
        ),
    ],
)
def test_the_turn_decides_how_tools_are_used_else_the_agent(
    config: AgentConfig, turn: ToolConfig | None, used: ToolConfig
) -> None:
    assert tool_config(config, turn) == used


def test_an_agent_chooses_among_its_own_tools() -> None:
    tools = [ToolDef(name="weather", input_schema=CITY)]

    def requested(nested: str, **fields: Any) -> RequestedConfig:
        config = RequestedToolConfig(tool_choice=nested)
        return RequestedConfig(model="m", instructions="", client_tools=tools, tool_config=config, **fields)

    create(requested("weather"), (), ())
    for config in (requested("clock"), requested("auto", tool_choice="none")):
        with pytest.raises(
            Invalid, match=r"agent_config\.tool_config\.tool_choice|agent_config\.tool_choice"
        ):
            create(config, (), ())
