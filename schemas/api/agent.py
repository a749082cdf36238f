"""Agents: configuration and the answers of the agent endpoints (spec tag: Agents)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

ToolChoice = Literal["auto", "required", "none"]
ToolPromptFormat = Literal["json", "function_tag", "python_list"]


class GreedySamplingStrategy(
    Struct, frozen=True, tag_field="type", tag="greedy", omit_defaults=True, forbid_unknown_fields=True
):
    """Always choose the most probable token (temperature 0)."""


class TopPSamplingStrategy(
    Struct, frozen=True, tag_field="type", tag="top_p", omit_defaults=True, forbid_unknown_fields=True
):
    temperature: float | None = None
    top_p: float | None = None


class TopKSamplingStrategy(
    Struct, frozen=True, tag_field="type", tag="top_k", omit_defaults=True, forbid_unknown_fields=True
):
    top_k: int


SamplingStrategy = GreedySamplingStrategy | TopPSamplingStrategy | TopKSamplingStrategy


class SamplingParams(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Sampling parameters. The specification requires `strategy`; here it may be left out, which means
    greedy.

    `temperature`, `top_p`, `top_k` (flat) and `repeat_penalty` are accepted because existing clients send
    them, but are never written: normalisation converts them to `strategy` and `repetition_penalty`.
    `max_tokens` is a number of tokens, 0 means no limit. `stop` holds at most 4 sequences.
    """

    strategy: SamplingStrategy | None = None
    max_tokens: int | None = None
    repetition_penalty: float | None = None
    stop: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repeat_penalty: float | None = None


class JsonSchemaResponseFormat(
    Struct, frozen=True, tag_field="type", tag="json_schema", omit_defaults=True, forbid_unknown_fields=True
):
    json_schema: dict[str, Any]


class GrammarResponseFormat(
    Struct, frozen=True, tag_field="type", tag="grammar", omit_defaults=True, forbid_unknown_fields=True
):
    bnf: dict[str, Any]


ResponseFormat = JsonSchemaResponseFormat | GrammarResponseFormat


class AgentToolGroupWithArgs(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    args: dict[str, Any]


AgentTool = str | AgentToolGroupWithArgs


class ToolConfig(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """How the model uses tools. `tool_choice` is auto, required, none, or the name of one tool."""

    tool_choice: str | None = None
    tool_prompt_format: ToolPromptFormat | None = None
    system_message_behavior: Literal["append", "replace"] | None = None


class ToolDef(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A tool that the client runs. Older clients send `parameters` and `tool_prompt_format` instead of
    `input_schema`."""

    name: str
    toolgroup_id: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    parameters: list[dict[str, Any]] | None = None
    tool_prompt_format: ToolPromptFormat | None = None


class AgentConfig(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Configuration of an agent. `max_infer_iters` limits the number of inferences in one turn."""

    model: str
    instructions: str
    name: str | None = None
    sampling_params: SamplingParams | None = None
    input_shields: list[str] | None = None
    output_shields: list[str] | None = None
    toolgroups: list[AgentTool] | None = None
    client_tools: list[ToolDef] | None = None
    tool_choice: ToolChoice | None = None
    tool_prompt_format: ToolPromptFormat | None = None
    tool_config: ToolConfig | None = None
    max_infer_iters: int | None = None
    enable_session_persistence: bool | None = None
    response_format: ResponseFormat | None = None


class CreateAgentRequest(Struct, frozen=True, forbid_unknown_fields=True):
    agent_config: AgentConfig


class AgentCreateResponse(Struct, frozen=True):
    agent_id: str


class Agent(Struct, frozen=True):
    """An agent. `created_at` is RFC 3339 in UTC with microseconds and `Z`, like every time in the API."""

    agent_id: str
    agent_config: AgentConfig
    created_at: str


class UpdateAgentRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A new configuration of an agent, complete. With `expected_version` it is refused unless the agent has this version.
    Not part of the Llama Stack specification."""

    agent_config: AgentConfig
    expected_version: int | None = None


class AgentUpdateResponse(Struct, frozen=True):
    """The version of the agent that has the new configuration: the present one if nothing changed."""

    agent_id: str
    agent_version: int


class AgentVersion(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One version of an agent's configuration. Version 1 is that of the created agent; `actor` is the name of the API key
    with which it was made."""

    version: int
    created_at: str
    agent_config: AgentConfig
    actor: str = ""
