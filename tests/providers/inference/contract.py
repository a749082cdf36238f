"""The requirements on every inference provider. A provider's test subclasses `ProviderContract` and gives its
fixtures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from msgspec import Raw, Struct

from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    InferenceProvider,
    InferenceRequest,
    Opened,
    TextChunk,
    ToolCallChunk,
)

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather forecast of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Oslo", "Rome"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 5},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "rain": {"type": "boolean"}},
    "required": ["city", "rain"],
    "additionalProperties": False,
}


def raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def request(model: str, *messages: dict[str, Any], **more: Any) -> InferenceRequest:
    asked = messages or (user("What is the weather in Oslo for 3 days?"),)
    return InferenceRequest(model=model, messages=[raw(message) for message in asked], **more)


class Answer(Struct):
    """All events of one answer, put together."""

    events: list[InferenceEvent]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextChunk))

    @property
    def finished(self) -> Finished:
        assert isinstance(self.events[-1], Finished)
        return self.events[-1]

    @property
    def calls(self) -> list[tuple[str, str, Any]]:
        """Each call as (call id, tool, arguments)."""
        pieces = [event for event in self.events if isinstance(event, ToolCallChunk)]
        calls = []
        for index in sorted({piece.index for piece in pieces}):
            own = [piece for piece in pieces if piece.index == index]
            assert own[0].call_id
            assert own[0].name
            assert all(not piece.call_id and not piece.name for piece in own[1:])
            arguments = "".join(piece.arguments for piece in own)
            calls.append((own[0].call_id, own[0].name, json.loads(arguments)))
        return calls


async def answer_of(provider: InferenceProvider, asked: InferenceRequest) -> Answer:
    events = [event async for event in provider.infer(asked, headers={})]
    return Answer(events)


def kinds(events: Iterable[InferenceEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


class ProviderContract:
    """`provider` and `model` come from the subclass."""

    @pytest.mark.anyio
    async def test_opened_comes_first_and_finished_last(
        self, provider: InferenceProvider, model: str
    ) -> None:
        answer = await answer_of(provider, request(model, max_tokens=40))
        names = kinds(answer.events)
        assert names[0] == "Opened"
        assert names[-1] == "Finished"
        assert set(names[1:-1]) == {"TextChunk"}
        assert all(event.text for event in answer.events if isinstance(event, TextChunk))

    @pytest.mark.anyio
    async def test_usage_and_response_names_are_given(self, provider: InferenceProvider, model: str) -> None:
        finished = (await answer_of(provider, request(model, max_tokens=40))).finished
        assert finished.usage.input_tokens
        assert finished.usage.output_tokens
        assert finished.response_id
        assert finished.response_model

    @pytest.mark.anyio
    async def test_models_carry_the_provider_in_their_names(self, provider: InferenceProvider) -> None:
        models = await provider.models()
        assert models
        for model in models:
            assert model.provider_id == provider.id
            assert model.identifier == model.id == f"{provider.id}/{model.provider_resource_id}"

    @pytest.mark.anyio
    async def test_a_closed_answer_leaves_the_provider_usable(
        self, provider: InferenceProvider, model: str
    ) -> None:
        async with aclosing(provider.infer(request(model, max_tokens=40), headers={})) as events:
            assert isinstance(await anext(events), Opened)
        assert (await answer_of(provider, request(model, max_tokens=40))).finished

    @pytest.mark.anyio
    async def test_answers_run_side_by_side(self, provider: InferenceProvider, model: str) -> None:
        asked = request(model, max_tokens=20)
        answers = await asyncio.gather(*(answer_of(provider, asked) for _ in range(4)))
        assert all(answer.finished.reason in ("stop", "length") for answer in answers)

    @pytest.mark.anyio
    async def test_a_required_tool_is_called(self, provider: InferenceProvider, model: str) -> None:
        asked = request(model, tools=[raw(TOOL)], tool_choice="required", max_tokens=800)
        answer = await answer_of(provider, asked)
        [(_, name, arguments)] = answer.calls
        assert name == "get_weather"
        assert set(arguments) == {"city", "days"}
        assert answer.finished.reason == "tool_calls"

    @pytest.mark.anyio
    async def test_a_named_tool_is_called(self, provider: InferenceProvider, model: str) -> None:
        other = {
            "type": "function",
            "function": {"name": "other", "description": "weather", "parameters": {}},
        }
        tools = [raw(TOOL), raw(other)]
        answer = await answer_of(
            provider, request(model, tools=tools, tool_choice="get_weather", max_tokens=800)
        )
        assert [name for _, name, _ in answer.calls] == ["get_weather"]

    @pytest.mark.anyio
    async def test_a_tool_result_can_be_answered(self, provider: InferenceProvider, model: str) -> None:
        function = {"name": "get_weather", "arguments": '{"city":"Oslo","days":3}'}
        call = {"id": "call_1", "type": "function", "function": function}
        answer = await answer_of(
            provider,
            request(
                model,
                user("What is the weather in Oslo?"),
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "rain, 12 degrees"},
                tools=[raw(TOOL)],
                tool_choice="none",
                max_tokens=40,
            ),
        )
        assert answer.text


class SchemaContract:
    """Additional requirements on models that answer according to a JSON schema."""

    @pytest.mark.anyio
    async def test_a_json_schema_is_followed(self, provider: InferenceProvider, model: str) -> None:
        wanted = raw({"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}})
        answer = await answer_of(provider, request(model, response_format=wanted, max_tokens=400))
        value = json.loads(answer.text)
        assert set(value) == {"city", "rain"}
        assert value["city"] in ("Oslo", "Rome")
        assert isinstance(value["rain"], bool)
