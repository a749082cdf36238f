"""The conventions by which senders describe model calls, and the columns that their attributes fill.

- `current`: OpenTelemetry's GenAI conventions, https://github.com/open-telemetry/semantic-conventions-genai
- `earlier`: the names of these conventions up to version 1.26 (tokens) and 1.36 (`gen_ai.system`)
- `openllmetry`: Traceloop's additions to them, and the names that it used earlier
- `openinference`: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
- `vercel`: the AI SDK's own attributes, https://ai-sdk.dev/docs/ai-sdk-core/telemetry
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Dialect = Literal["current", "earlier", "openllmetry", "openinference", "vercel"]

_CURRENT: dict[str, tuple[str, ...]] = {
    "operation_name": ("gen_ai.operation.name",),
    "provider_name": ("gen_ai.provider.name",),
    "request_model": ("gen_ai.request.model",),
    "response_model": ("gen_ai.response.model",),
    "response_id": ("gen_ai.response.id",),
    "conversation_id": ("gen_ai.conversation.id",),
    "agent_id": ("gen_ai.agent.id", "agent_id"),
    "agent_name": ("gen_ai.agent.name", "gen_ai.workflow.name"),
    "turn_id": ("turn_id",),
    "step_id": ("step_id",),
    "tool_name": ("gen_ai.tool.name",),
    "tool_call_id": ("gen_ai.tool.call.id",),
    "error_type": ("error.type",),
    "input_tokens": ("gen_ai.usage.input_tokens",),
    "output_tokens": ("gen_ai.usage.output_tokens",),
}
_EARLIER: dict[str, tuple[str, ...]] = {
    "provider_name": ("gen_ai.system",),
    "input_tokens": ("gen_ai.usage.prompt_tokens",),
    "output_tokens": ("gen_ai.usage.completion_tokens",),
}
_OPENLLMETRY: dict[str, tuple[str, ...]] = {
    "operation_name": ("llm.request.type", "traceloop.span.kind"),
    "provider_name": ("llm.vendor",),
    "request_model": ("llm.request.model",),
    "response_model": ("llm.response.model",),
    "conversation_id": (
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.conversation_id",
        "traceloop.association.properties.thread_id",
    ),
    "input_tokens": ("llm.usage.prompt_tokens", "llm.usage.input_tokens"),
    "output_tokens": ("llm.usage.completion_tokens", "llm.usage.output_tokens"),
}
_OPENINFERENCE: dict[str, tuple[str, ...]] = {
    "operation_name": ("openinference.span.kind",),
    "provider_name": ("llm.provider", "llm.system"),
    "request_model": ("llm.model_name", "embedding.model_name", "reranker.model_name"),
    "conversation_id": ("session.id", "session_id"),
    "agent_name": ("agent.name",),
    "tool_name": ("tool.name",),
    "tool_call_id": ("tool_call.id", "tool.id"),
    "input_tokens": ("llm.token_count.prompt",),
    "output_tokens": ("llm.token_count.completion",),
}
_VERCEL: dict[str, tuple[str, ...]] = {
    "operation_name": ("ai.operationId",),
    "provider_name": ("ai.model.provider",),
    "request_model": ("ai.model.id",),
    "response_model": ("ai.response.model",),
    "response_id": ("ai.response.id",),
    "conversation_id": ("ai.telemetry.metadata.sessionId",),
    "agent_name": ("ai.telemetry.functionId",),
    "tool_name": ("ai.toolCall.name",),
    "tool_call_id": ("ai.toolCall.id",),
    "input_tokens": ("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
    "output_tokens": ("ai.usage.outputTokens", "ai.usage.completionTokens"),
}
SOURCES: Mapping[Dialect, Mapping[str, tuple[str, ...]]] = {
    "current": _CURRENT,
    "earlier": _EARLIER,
    "openllmetry": _OPENLLMETRY,
    "openinference": _OPENINFERENCE,
    "vercel": _VERCEL,
}
"""For each column the attributes that may fill it; the first one with a valid value is used."""

ENTITY_NAME, ENTITY_KIND = "traceloop.entity.name", "traceloop.span.kind"
ENTITY_COLUMNS: Mapping[str, str] = {"tool": "tool_name", "agent": "agent_name", "workflow": "agent_name"}
"""The column filled by OpenLLMetry's entity name, by the kind of the entity."""

OPERATIONS: Mapping[str, Mapping[str, str]] = {
    "openinference.span.kind": {
        "LLM": "chat",
        "AGENT": "invoke_agent",
        "TOOL": "execute_tool",
        "EMBEDDING": "embeddings",
        "RETRIEVER": "retrieval",
    },
    "llm.request.type": {"completion": "text_completion", "embedding": "embeddings"},
    "traceloop.span.kind": {"workflow": "invoke_workflow", "agent": "invoke_agent", "tool": "execute_tool"},
    "ai.operationId": {
        "ai.generateText": "invoke_agent",
        "ai.streamText": "invoke_agent",
        "ai.generateObject": "invoke_agent",
        "ai.streamObject": "invoke_agent",
        "ai.generateText.doGenerate": "chat",
        "ai.streamText.doStream": "chat",
        "ai.generateObject.doGenerate": "chat",
        "ai.streamObject.doStream": "chat",
        "ai.embed": "embeddings",
        "ai.embedMany": "embeddings",
        "ai.embed.doEmbed": "embeddings",
        "ai.embedMany.doEmbed": "embeddings",
        "ai.toolCall": "execute_tool",
    },
}
"""For each attribute the values that correspond to an OpenTelemetry operation; other values are kept
unchanged."""

_PROVIDERS: Mapping[str, str] = {
    "aws": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "az.ai.inference": "azure.ai.inference",
    "azure_ai_inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "google.generative-ai": "gcp.gemini",
    "google.vertex": "gcp.vertex_ai",
    "google-vertex": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
_WELL_KNOWN = {
    *_PROVIDERS.values(),
    *("anthropic", "cohere", "deepseek", "groq", "moonshot_ai", "openai", "perplexity"),
}

_SCOPES: tuple[tuple[str, Dialect], ...] = (
    ("openinference", "openinference"),
    ("@arizeai/openinference", "openinference"),
    ("traceloop", "openllmetry"),
    ("@traceloop/", "openllmetry"),
    ("@ai-sdk/", "vercel"),
)
_LAST_EARLIER_VERSION = (1, 26)
_VERSION = re.compile(r"https?://opentelemetry\.io/schemas/(\d{1,4})\.(\d{1,4})")


def dialect_of(scope: str, schema_url: str) -> Dialect:
    """Returns the convention that a scope declares, by its name or by the version in its schema URL. Its
    attributes take precedence over those of other conventions on the same span."""
    if scope == "ai":
        return "vercel"
    for beginning, dialect in _SCOPES:
        if scope.startswith(beginning):
            return dialect
    version = _VERSION.match(schema_url)
    if version is not None and (int(version[1]), int(version[2])) <= _LAST_EARLIER_VERSION:
        return "earlier"
    return "current"


def provider_of(name: str, attribute: str) -> str:
    """Converts the value of another convention's attribute to OpenTelemetry's name of the provider; unknown
    providers keep their name."""
    lower = name.lower()
    while True:
        if lower in _PROVIDERS:
            return _PROVIDERS[lower]
        if lower in _WELL_KNOWN:
            return lower
        # The AI SDK also includes the kind of model: `openai.chat`, `google.vertex.chat`.
        lower, dot, _ = lower.rpartition(".")
        if not dot or attribute != "ai.model.provider":
            return name
