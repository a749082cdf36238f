"""One set of columns, whichever convention a sender follows; what was sent stays as it was."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from projections.telemetry_columns import NO_COUNT
from telemetry.wire.dialects import dialect_of, provider_of
from telemetry.wire.promoted import COUNTS, TEXTS
from tests.telemetry.decoded_rows import in_both_forms, rows
from tests.telemetry.otlp_requests import BASE_NS, key_values

CALL = {
    "operation_name": "chat",
    "provider_name": "openai",
    "request_model": "gpt-4o",
    "conversation_id": "conv-1",
    "input_tokens": 120,
    "output_tokens": 30,
}
ANSWER = {"response_model": "gpt-4o-2024-08-06", "response_id": "chatcmpl-1"}

# Scope, schema URL, attributes as a sender of the convention writes them, and what the columns hold.
SPANS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "current": (
        "opentelemetry.instrumentation.openai_v2",
        "https://opentelemetry.io/schemas/gen-ai/1.42.0",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.conversation.id": "conv-1",
            "gen_ai.usage.input_tokens": 120,
            "gen_ai.usage.output_tokens": 30,
            "gen_ai.usage.cache_read.input_tokens": 64,
        },
        CALL | ANSWER,
    ),
    "version 1.28": (
        "opentelemetry.instrumentation.openai_v2",
        "https://opentelemetry.io/schemas/1.28.0",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.id": "chatcmpl-1",
            "session.id": "conv-1",
            "gen_ai.usage.input_tokens": 120,
            "gen_ai.usage.output_tokens": 30,
        },
        CALL | ANSWER,
    ),
    "version 1.25": (
        "my.instrumentation",
        "https://opentelemetry.io/schemas/1.25.0",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "az.ai.openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.prompt_tokens": 120,
            "gen_ai.usage.completion_tokens": 30,
        },
        CALL | {"provider_name": "azure.ai.openai", "conversation_id": ""},
    ),
    "OpenLLMetry": (
        "opentelemetry.instrumentation.openai.v1",
        "",
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "What is the weather in Paris?",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "Mild.",
            "gen_ai.usage.prompt_tokens": 120,
            "gen_ai.usage.completion_tokens": 30,
            "llm.usage.total_tokens": 150,
            "traceloop.workflow.name": "weather",
            "traceloop.association.properties.session_id": "conv-1",
        },
        CALL | ANSWER,
    ),
    "OpenLLMetry's first": (
        "traceloop.tracer",
        "",
        {
            "llm.vendor": "OpenAI",
            "llm.request.type": "completion",
            "llm.request.model": "gpt-4o",
            "llm.response.model": "gpt-4o-2024-08-06",
            "llm.usage.prompt_tokens": "120",
            "llm.usage.completion_tokens": 30.0,
            "traceloop.association.properties.thread_id": "conv-1",
        },
        CALL | {"operation_name": "text_completion", "response_model": "gpt-4o-2024-08-06"},
    ),
    "OpenLLMetry's tool": (
        "traceloop.tracer",
        "",
        {"traceloop.span.kind": "tool", "traceloop.entity.name": "look", "traceloop.entity.input": "{}"},
        {"operation_name": "execute_tool", "tool_name": "look"},
    ),
    "OpenLLMetry's agent": (
        "traceloop.tracer",
        "",
        {"traceloop.span.kind": "agent", "traceloop.entity.name": "harbour"},
        {"operation_name": "invoke_agent", "agent_name": "harbour"},
    ),
    "OpenLLMetry's task": (
        "traceloop.tracer",
        "",
        {"traceloop.span.kind": "task", "traceloop.entity.name": "step"},
        {"operation_name": "task"},
    ),
    "OpenInference": (
        "openinference.instrumentation.openai",
        "",
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "openai",
            "llm.system": "openai",
            "llm.model_name": "gpt-4o",
            "llm.invocation_parameters": '{"temperature": 0.2}',
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "What is the weather in Paris?",
            "llm.token_count.prompt": 120,
            "llm.token_count.completion": 30,
            "llm.token_count.total": 150,
            "session.id": "conv-1",
            "user.id": "ann",
        },
        CALL,
    ),
    "OpenInference's tool": (
        "openinference.instrumentation.langchain",
        "",
        {"openinference.span.kind": "TOOL", "tool.name": "look", "tool_call.id": "call-1"},
        {"operation_name": "execute_tool", "tool_name": "look", "tool_call_id": "call-1"},
    ),
    "OpenInference's agent": (
        "openinference.instrumentation.smolagents",
        "",
        {"openinference.span.kind": "AGENT", "agent.name": "harbour", "llm.token_count.prompt": 240},
        {"operation_name": "invoke_agent", "agent_name": "harbour", "input_tokens": 240},
    ),
    "OpenInference's retriever": (
        "openinference.instrumentation.llama_index",
        "",
        {"openinference.span.kind": "RETRIEVER", "retrieval.documents.0.document.id": "7"},
        {"operation_name": "retrieval"},
    ),
    "OpenInference's embedding": (
        "@arizeai/openinference-instrumentation-openai",
        "",
        {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "e-3", "llm.token_count.prompt": 5},
        {"operation_name": "embeddings", "request_model": "e-3", "input_tokens": 5},
    ),
    "AI SDK 4": (
        "ai",
        "",
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "operation.name": "ai.generateText.doGenerate weather",
            "ai.model.provider": "openai.chat",
            "ai.model.id": "gpt-4o",
            "ai.response.model": "gpt-4o-2024-08-06",
            "ai.response.id": "chatcmpl-1",
            "ai.usage.promptTokens": 120,
            "ai.usage.completionTokens": 30,
            "ai.telemetry.functionId": "weather",
            "ai.telemetry.metadata.sessionId": "conv-1",
        },
        CALL | ANSWER | {"agent_name": "weather"},
    ),
    "AI SDK 5": (
        "ai",
        "",
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.model.provider": "google.generative-ai",
            "ai.model.id": "gpt-4o",
            "gen_ai.system": "google.generative-ai",
            "gen_ai.request.model": "gpt-4o",
            "ai.usage.inputTokens": 120,
            "ai.usage.outputTokens": 30,
            "ai.telemetry.metadata.sessionId": "conv-1",
        },
        CALL | {"provider_name": "gcp.gemini"},
    ),
    "AI SDK's tool": (
        "ai",
        "",
        {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "look", "ai.toolCall.id": "call-1"},
        {"operation_name": "execute_tool", "tool_name": "look", "tool_call_id": "call-1"},
    ),
}


def row_of(scope: str, schema_url: str, attributes: dict[str, Any]) -> dict[str, Any]:
    made = TracesData()
    of_scope = made.resource_spans.add().scope_spans.add(schema_url=schema_url)
    of_scope.scope.name = scope
    of_scope.spans.add(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        name="call",
        start_time_unix_nano=BASE_NS,
        attributes=key_values(attributes),
    )
    [row] = rows(in_both_forms("traces", made), "spans")
    return row


@pytest.mark.parametrize("name", SPANS)
def test_one_set_of_columns(name: str) -> None:
    scope, schema_url, attributes, expected = SPANS[name]
    row = row_of(scope, schema_url, attributes)
    empty = dict.fromkeys(TEXTS, "") | dict.fromkeys(COUNTS, NO_COUNT)
    assert {column: row[column] for column in empty} == empty | expected
    kept = dict(json.loads("{" + fragment + "}").popitem() for fragment in row["fragments"].split("\x1e"))
    assert kept == attributes


BOTH = {
    "gen_ai.usage.input_tokens": 1,
    "gen_ai.usage.prompt_tokens": 2,
    "llm.usage.prompt_tokens": 3,
    "llm.token_count.prompt": 4,
    "ai.usage.promptTokens": 5,
}


@pytest.mark.parametrize(
    ("scope", "schema_url", "tokens"),
    [
        ("", "", 1),
        ("my.library", "https://opentelemetry.io/schemas/1.27.0", 1),
        ("my.library", "https://opentelemetry.io/schemas/gen-ai/1.42.0", 1),
        ("my.library", "https://opentelemetry.io/schemas/1.26.0", 2),
        ("my.library", "https://opentelemetry.io/schemas/nonsense", 1),
        ("traceloop.tracer", "", 3),
        ("@traceloop/instrumentation-openai", "", 3),
        ("openinference.instrumentation.openai", "", 4),
        ("ai", "", 5),
        ("airport", "", 1),
    ],
)
def test_the_convention_of_the_scope_counts_first(scope: str, schema_url: str, tokens: int) -> None:
    assert row_of(scope, schema_url, BOTH)["input_tokens"] == tokens
    without = {key: value for key, value in BOTH.items() if value != tokens}
    assert row_of(scope, schema_url, without)["input_tokens"] in without.values()


@pytest.mark.parametrize(
    ("attributes", "tokens"),
    [
        ({"gen_ai.usage.input_tokens": 7}, 7),
        ({"gen_ai.usage.input_tokens": -7}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": -7, "gen_ai.usage.prompt_tokens": 8}, 8),
        ({"gen_ai.usage.input_tokens": 0}, 0),
        ({"gen_ai.usage.input_tokens": -0.0}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": 1e3}, 1000),
        ({"gen_ai.usage.input_tokens": "12.0"}, 12),
        ({"gen_ai.usage.input_tokens": "0x10"}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": ""}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": "٣"}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": "9" * 40}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": [7]}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": None}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": 7.0}, 7),
        ({"gen_ai.usage.input_tokens": 1e300}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": 7.5}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": "7"}, 7),
        ({"gen_ai.usage.input_tokens": True}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": math.nan}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": -(2**63)}, NO_COUNT),
        ({"gen_ai.usage.input_tokens": 2**63 - 1}, 2**63 - 1),
    ],
)
def test_tokens_of_odd_types(attributes: dict[str, Any], tokens: int) -> None:
    assert row_of("", "", attributes)["input_tokens"] == tokens


def test_dialects_and_providers() -> None:
    assert dialect_of("", "") == "current"
    assert provider_of("VertexAI", "llm.system") == "gcp.vertex_ai"
    assert provider_of("My.Own", "gen_ai.system") == provider_of("My.Own", "ai.model.provider") == "My.Own"
    assert provider_of("openai.mine", "gen_ai.system") == "openai.mine"
