"""The demo model: answers with citations, memory, tools, JSON, limits; and that it says when it finds nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import jsonschema_rs
import pytest

from stack.errors import Invalid
from stack.providers.inference.demo_extractive import RESPONSE_MODEL, DemoExtractive
from tests.providers.inference.contract import ProviderContract, SchemaContract, answer_of, raw, request, user

DOCUMENTS = """<document index="1" type="text/plain">
The Analytical Engine was designed by Charles Babbage in 1837. Ada Lovelace wrote the first program for it.
</document>
<document index="2" title="Paris guide">
# Paris
Paris is the capital of France. The Eiffel Tower is 330 metres tall and was finished in 1889.
</document>

"""
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather forecast for a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        },
    },
}
CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Calculate an arithmetic expression",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        },
    },
}
TOOLS = [raw(WEATHER), raw(CALCULATOR)]


@pytest.fixture
async def provider() -> AsyncIterator[DemoExtractive]:
    demo = DemoExtractive()
    yield demo
    await demo.aclose()


@pytest.fixture
def model() -> str:
    return "extractive"


class TestContract(ProviderContract, SchemaContract):
    pass


async def ask(*messages: dict[str, Any], **more: Any) -> str:
    return (await answer_of(DemoExtractive(), request("extractive", *messages, **more))).text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who designed the Analytical Engine?", "designed by Charles Babbage in 1837. [1]"),
        ("Who wrote the first program?", "Ada Lovelace wrote the first program for it. [1]"),
        ("How tall is the Eiffel Tower?", "330 metres tall and was finished in 1889. [2]"),
        ("What is the capital of France?", "Paris is the capital of France. [2]"),
    ],
)
async def test_quotes_the_sentence_that_answers(question: str, expected: str) -> None:
    assert expected in await ask(user(DOCUMENTS + question))


@pytest.mark.anyio
async def test_names_the_cited_documents() -> None:
    assert (await ask(user(DOCUMENTS + "What is the capital of France?"))).endswith(
        "Sources: [2] Paris guide"
    )
    assert (await ask(user(DOCUMENTS + "Who wrote the first program?"))).endswith("Sources: [1] document 1")


@pytest.mark.anyio
async def test_documents_of_an_earlier_turn_are_still_there() -> None:
    first = [user(DOCUMENTS + "Who are you?"), {"role": "assistant", "content": "A demo."}]
    second = '<document index="1">The bridge opened in 1932.</document> When did the bridge open?'
    assert "1932. [3]" in await ask(*first, user(second))
    assert "330 metres" in await ask(*first, user("How tall is the Eiffel Tower?"))


@pytest.mark.anyio
async def test_answers_from_instructions_and_from_what_was_said() -> None:
    rules = {"role": "system", "content": "You are a guide. Opening hours are 9 to 17 on weekdays."}
    assert "Opening hours are 9 to 17" in await ask(rules, user("What are the opening hours?"))
    told = [user("My name is Ada."), {"role": "assistant", "content": "Noted."}]
    assert "My name is Ada." in await ask(rules, *told, user("What is my name?"))


@pytest.mark.anyio
@pytest.mark.parametrize("documents", ["", DOCUMENTS])
async def test_says_plainly_that_it_found_nothing(documents: str) -> None:
    assert (await ask(user(documents + "How do I bake bread?"))).startswith("I found nothing about “How do I")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        (
            "What's the weather in Oslo for the next 3 days in celsius?",
            "get_weather",
            {"city": "Oslo", "days": 3, "unit": "celsius"},
        ),
        ("Get the weather forecast for New York", "get_weather", {"city": "New York"}),
        ("What is 12 * (3 + 4)?", "calculator", {"expression": "12 * (3 + 4)"}),
    ],
)
async def test_calls_the_tool_that_is_meant(question: str, name: str, arguments: dict[str, Any]) -> None:
    answer = await answer_of(DemoExtractive(), request("extractive", user(question), tools=TOOLS))
    assert [call[1:] for call in answer.calls] == [(name, arguments)]
    assert answer.finished.reason == "tool_calls"


@pytest.mark.anyio
async def test_calls_no_tool_without_need_or_against_the_choice() -> None:
    assert await ask(user("Who are you?"), tools=TOOLS)
    assert await ask(user("weather please"), tools=TOOLS)
    assert await ask(user("What is the weather in Oslo?"), tools=TOOLS, tool_choice="none")
    with pytest.raises(Invalid, match="no tool 'absent'"):
        await ask(user("hello"), tools=TOOLS, tool_choice="absent")


@pytest.mark.anyio
async def test_answers_from_a_tool_result_even_where_a_call_is_required() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [
        user("What is the weather in Oslo?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "12 degrees and rain"},
    ]
    text = await ask(*history, tools=TOOLS, tool_choice="required")
    assert text == "get_weather answered: 12 degrees and rain"


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    {
        "type": "object",
        "$defs": {
            "Person": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 40, "maxLength": 50},
                    "age": {"type": "integer", "exclusiveMinimum": 40, "maximum": 150},
                    "friends": {"type": "array", "items": {"$ref": "#/$defs/Person"}, "maxItems": 2},
                },
                "required": ["name", "age"],
                "additionalProperties": False,
            }
        },
        "properties": {
            "person": {"$ref": "#/$defs/Person"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
            "score": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "even": {"type": "integer", "multipleOf": 7, "minimum": 15},
            "kind": {"const": "person"},
            "level": {"enum": [1, 2, None]},
            "when": {"type": "string", "format": "date-time"},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "both": {"allOf": [{"type": "string"}, {"maxLength": 3}]},
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
            },
        },
        "required": ["person", "tags", "score", "even", "kind", "level", "when", "maybe", "both", "pair"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2, "maxItems": 4},
    {"type": "object", "required": ["unlisted"]},
    {"enum": ["Oslo", "Rome"]},
    {"type": ["string", "null"], "minLength": 5},
]


@pytest.mark.anyio
@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize(
    "text", ["Ada Lovelace, age 36, lived in London. Rome and Oslo: 1, 2.5 and 900.", "?"]
)
async def test_json_is_valid_for_its_schema(schema: dict[str, Any], text: str) -> None:
    wanted = raw({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    value = json.loads(await ask(user(text), response_format=wanted))
    jsonschema_rs.validator_for(schema).validate(value)


@pytest.mark.anyio
async def test_json_takes_its_values_from_the_text() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "city": {"type": "string"},
            "kind": {"enum": ["poet", "mathematician"]},
            "active": {"type": "boolean"},
        },
        "required": ["name", "age", "city", "kind", "active"],
    }
    text = "Ada Lovelace is a mathematician, age 36, who lives in London and is active."
    wanted = raw({"type": "json_schema", "json_schema": schema})
    assert json.loads(await ask(user(text), response_format=wanted)) == {
        "name": "Ada Lovelace",
        "age": 36,
        "city": "London",
        "kind": "mathematician",
        "active": True,
    }


@pytest.mark.anyio
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
        {"type": "integer", "minimum": "low"},
        {"type": "object", "properties": 3, "required": 4},
    ],
)
async def test_a_schema_that_cannot_be_filled_is_refused(schema: dict[str, Any]) -> None:
    wanted = raw({"type": "json_schema", "json_schema": {"schema": schema}})
    with pytest.raises(Invalid, match="schema"):
        await ask(user("hello"), response_format=wanted)


@pytest.mark.anyio
async def test_limits_and_stop_sequences_cut_the_answer() -> None:
    asked = user(DOCUMENTS + "Who designed the Analytical Engine?")
    whole = await answer_of(DemoExtractive(), request("extractive", asked))
    cut = await answer_of(DemoExtractive(), request("extractive", asked, max_tokens=4))
    assert cut.text == "The Analytical Engine was"
    assert (cut.finished.reason, cut.finished.usage.output_tokens) == ("length", 4)
    assert len(whole.events) == whole.finished.usage.output_tokens + 2
    stopped = await answer_of(DemoExtractive(), request("extractive", asked, stop=["absent", " by "]))
    assert stopped.text == "The Analytical Engine was designed"
    assert stopped.finished.reason == "stop"


@pytest.mark.anyio
async def test_the_same_request_has_the_same_answer() -> None:
    asked = request("extractive", user("weather in Oslo?"), tools=TOOLS, tool_choice="required")
    answers = [await answer_of(DemoExtractive(), asked) for _ in range(2)]
    assert answers[0].events == answers[1].events


@pytest.mark.anyio
async def test_is_labelled_as_a_demo_wherever_it_shows() -> None:
    [model] = await DemoExtractive().models()
    assert model.metadata["kind"] == "demo"
    assert "not a language model" in model.metadata["description"]
    answer = await answer_of(DemoExtractive(), request("extractive"))
    assert answer.finished.response_model == RESPONSE_MODEL
    assert "not a language model" in RESPONSE_MODEL


@pytest.mark.anyio
@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "?" * 5000,
        "<document " * 5000,
        "((((" * 5000,
        "a\x00b",
        "\n" * 5000,
        "<document>",
        "½ ² ①",
    ],
)
async def test_odd_input_is_answered(text: str) -> None:
    assert await ask(user(text), tools=TOOLS)
    assert await ask({"role": "user", "content": [{"type": "text", "text": text}]})


@pytest.mark.anyio
async def test_a_grammar_is_refused() -> None:
    with pytest.raises(Invalid, match="grammar"):
        await ask(user("hello"), response_format=raw({"type": "grammar", "bnf": {"grammar": "x"}}))
