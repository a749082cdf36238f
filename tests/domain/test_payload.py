"""Requests in their stored form and back: nothing is lost, and what is stored reads as the API's own JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from projections import wire
from schemas.api import agent, content, eval, scoring_function, turn
from schemas.events import payload as stored
from stack.domain import payload

GOLDEN = Path(__file__).parents[1] / "golden"
OLDER_CLIENTS = {"temperature", "top_p", "top_k", "repeat_penalty", "parameters"}
"""Fields that only older clients send; normalising turns them into others."""

encode = msgspec.json.encode


def golden(name: str) -> Any:
    return msgspec.json.decode((GOLDEN / f"{name}.1.json").read_bytes())


def candidate(given: eval.EvalCandidate) -> stored.EvalCandidate:
    if isinstance(given, eval.ModelCandidate):
        return payload.model_candidate(given, payload.sampling_params(given.sampling_params))
    return stored.EvalCandidate(type="agent", config=payload.agent_config(given.config))


STRATEGIES = [
    {"type": "greedy"},
    {"type": "top_p"},
    {"type": "top_p", "temperature": 0.0, "top_p": 0.5},
    {"type": "top_k", "top_k": 3},
]
FORMATS = [
    None,
    {"type": "json_schema", "json_schema": {"type": "object"}},
    {"type": "grammar", "bnf": {"a": 1}},
]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("wanted", FORMATS)
def test_agents(strategy: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    config = golden("agent.created")["config"]
    config |= {"response_format": wanted}
    config["sampling_params"] |= {"strategy": strategy}
    given = msgspec.convert(config, agent.AgentConfig)
    kept = payload.agent_config(given)
    assert encode(kept) == encode(given)
    assert wire.agent_config(msgspec.json.decode(encode(kept), type=stored.AgentConfig)) == given


def test_the_smallest_agent() -> None:
    given = agent.AgentConfig(model="m", instructions="", toolgroups=[], client_tools=[])
    assert encode(payload.agent_config(given)) == encode(given)
    assert wire.agent_config(payload.agent_config(given)) == given


TEXT = {"type": "text", "text": ""}
CONTENTS = [
    "",
    [],
    TEXT,
    [TEXT, {"type": "image", "image": {"data": "AA=="}}],
    {"type": "image", "image": {"url": {"uri": "https://example.org/a.png"}}},
    {"type": "image", "image": {}},
]


@pytest.mark.parametrize("said", CONTENTS)
def test_messages_and_responses(said: Any) -> None:
    given = msgspec.convert(
        [
            {"role": "user", "content": said},
            {"role": "user", "content": "x", "context": said},
            {"role": "tool", "call_id": "c1", "content": said},
        ],
        list[content.InputMessage],
    )
    kept = [payload.input_message(one) for one in given]
    assert encode(kept) == encode(given)
    assert wire.input_messages(msgspec.json.decode(encode(kept), type=list[stored.InputMessage])) == given
    response = turn.ToolResponse("c1", "look", given[0].content, {"took_ms": 3})
    assert encode(payload.tool_response(response)) == encode(response)
    assert wire.tool_responses([payload.tool_response(response)]) == [response]


def test_answers() -> None:
    for calls in (None, [content.ToolCall("c1", "look", "{}")]):
        given = content.CompletionMessage("Look.", "end_of_message", calls)
        kept = msgspec.json.decode(encode(given), type=stored.CompletionMessage)
        assert encode(kept) == encode(given)
        assert wire.completion(kept) == given


def test_what_comes_with_a_turn() -> None:
    started = golden("turn.started")
    documents = msgspec.convert(started["documents"], list[turn.Document])
    assert encode([payload.document(one) for one in documents]) == encode(documents)
    groups = msgspec.convert(started["toolgroups"], list[agent.AgentTool])
    assert encode(payload.toolgroups(groups)) == encode(groups)
    config = agent.ToolConfig(tool_choice="t", tool_prompt_format="json", system_message_behavior="append")
    assert encode(payload.tool_config(config)) == encode(config)


def test_images_are_not_copied() -> None:
    data = "A" * 1000
    image = content.ImageContentItem(content.ImageSource(data=data))
    kept = payload.input_message(content.UserMessage([image]))
    [shown] = wire.input_messages([kept])
    assert isinstance(shown.content, list)
    assert isinstance(shown.content[0], content.ImageContentItem)
    assert shown.content[0].image.data is data


def test_evaluations() -> None:
    config = golden("evaljob.scheduled")["config"]
    config["scoring_params"]["regex"] = {
        "type": "regex_parser",
        "parsing_regexes": ["a"],
        "aggregation_functions": ["accuracy", "median"],
        "keep_reasoning": True,
    }
    for asked in (config["eval_candidate"], {"type": "agent", "config": golden("agent.created")["config"]}):
        given = msgspec.convert(config | {"eval_candidate": asked}, eval.BenchmarkConfig)
        kept = payload.benchmark_config(given, candidate(given.eval_candidate))
        assert encode(kept) == encode(given)
        assert wire.candidate(kept.eval_candidate) == given.eval_candidate
        params = {name: wire.scoring_params(one) for name, one in (kept.scoring_params or {}).items()}
        assert params == given.scoring_params


def test_kinds_of_newer_releases_are_left_out() -> None:
    later = stored.ContentItem(type="audio")
    assert wire.content(later) == ""
    assert wire.content([stored.ContentItem(type="text", text="x"), later]) == [content.TextContentItem("x")]
    assert wire.input_messages([stored.InputMessage(role="narrator", content="Meanwhile,")]) == []
    config = stored.AgentConfig(
        model="m",
        instructions="",
        sampling_params=stored.SamplingParams(strategy=stored.SamplingStrategy(type="min_p")),
        response_format=stored.ResponseFormat(type="xml"),
    )
    shown = wire.agent_config(config)
    assert (shown.sampling_params, shown.response_format) == (agent.SamplingParams(), None)
    assert wire.candidate(stored.EvalCandidate(type="crowd")) is None
    assert wire.scoring_params(stored.ScoringParams(type="crowd")) is None


@pytest.mark.parametrize(
    ("requested", "kept"),
    [
        (agent.AgentConfig, stored.AgentConfig),
        (agent.SamplingParams, stored.SamplingParams),
        (agent.ToolConfig, stored.ToolConfig),
        (agent.ToolDef, stored.ToolDef),
        (agent.AgentToolGroupWithArgs, stored.AgentToolGroup),
        (content.UserMessage, stored.InputMessage),
        (content.ToolResponseMessage, stored.InputMessage),
        (content.ImageSource, stored.ImageSource),
        (content.CompletionMessage, stored.CompletionMessage),
        (content.ToolCall, stored.ToolCall),
        (turn.ToolResponse, stored.ToolResponse),
        (turn.Document, stored.Document),
        (eval.ModelCandidate, stored.EvalCandidate),
        (eval.AgentCandidate, stored.EvalCandidate),
        (scoring_function.LLMAsJudgeScoringFnParams, stored.ScoringParams),
        (scoring_function.RegexParserScoringFnParams, stored.ScoringParams),
        (scoring_function.BasicScoringFnParams, stored.ScoringParams),
    ],
)
def test_each_field_of_a_request_has_a_place(requested: type[Struct], kept: type[Struct]) -> None:
    """A field that is added to the API is either stored (here and in both conversions) or named above."""
    assert set(requested.__struct_fields__) - set(kept.__struct_fields__) <= OLDER_CLIENTS
