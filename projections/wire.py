"""Converts stored types to the API's. `stack.domain.payload` converts the other way.

A kind of message, content or strategy that was stored by a newer release and is unknown to this one is left
out; an unknown value of an enumeration (a stop reason, a tool prompt format) is passed on. Texts are never
copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from schemas.api import agent as agent_api
from schemas.api import content as content_api
from schemas.api import eval as eval_api
from schemas.api import scoring_function as scoring_api
from schemas.api import turn as turn_api
from schemas.events import payload


def content(stored: payload.Content) -> content_api.InterleavedContent:
    """A single item of an unknown kind becomes the empty text."""
    if isinstance(stored, str):
        return stored
    if isinstance(stored, list):
        return [item for one in stored if (item := _item(one)) is not None]
    return _item(stored) or ""


def _item(stored: payload.ContentItem) -> content_api.ContentItem | None:
    if stored.type == "text" and stored.text is not None:
        return content_api.TextContentItem(stored.text)
    if stored.type == "image" and (image := stored.image) is not None:
        url = content_api.URL(image.url.uri) if image.url else None
        return content_api.ImageContentItem(content_api.ImageSource(url, image.data))
    return None


def input_messages(stored: Iterable[payload.InputMessage]) -> list[content_api.InputMessage]:
    messages: list[content_api.InputMessage] = []
    for one in stored:
        if one.role == "user":
            context = None if one.context is None else content(one.context)
            messages.append(content_api.UserMessage(content(one.content), context))
        elif one.role == "tool" and one.call_id is not None:
            messages.append(content_api.ToolResponseMessage(one.call_id, content(one.content)))
    return messages


def tool_call(stored: payload.ToolCall) -> content_api.ToolCall:
    return content_api.ToolCall(stored.call_id, stored.tool_name, stored.arguments)


def tool_calls(stored: Iterable[payload.ToolCall]) -> list[content_api.ToolCall]:
    return [tool_call(one) for one in stored]


def tool_responses(stored: Iterable[payload.ToolResponse]) -> list[turn_api.ToolResponse]:
    return [
        turn_api.ToolResponse(one.call_id, one.tool_name, content(one.content), one.metadata)
        for one in stored
    ]


def memory_retrieval(
    turn_id: str,
    step_id: str,
    times: tuple[str, str],
    vector_db_ids: Iterable[str],
    inserted_context: payload.Content,
) -> turn_api.MemoryRetrievalStep:
    """`times` are the start and the end."""
    return turn_api.MemoryRetrievalStep(
        turn_id=turn_id,
        step_id=step_id,
        started_at=times[0],
        completed_at=times[1],
        vector_db_ids=",".join(vector_db_ids),
        inserted_context=content(inserted_context),
    )


def completion(stored: payload.CompletionMessage) -> content_api.CompletionMessage:
    calls = stored.tool_calls
    return content_api.CompletionMessage(
        content(stored.content),
        stored.stop_reason,  # type: ignore[arg-type]  # a value of a newer release is passed on
        None if calls is None else tool_calls(calls),
    )


def violation(stored: payload.Violation) -> turn_api.SafetyViolation:
    """An unknown level is an error."""
    level = stored.level if stored.level in ("info", "warn") else "error"
    return turn_api.SafetyViolation(cast(Any, level), stored.metadata or {}, stored.user_message or None)


def usage(stored: payload.TurnUsage) -> turn_api.TurnUsage:
    return turn_api.TurnUsage(stored.input_tokens, stored.output_tokens)


def error(stored: payload.TurnError | None) -> turn_api.TurnError | None:
    return None if stored is None else turn_api.TurnError(stored.status, stored.title, stored.detail)


def agent_config(stored: payload.AgentConfig) -> agent_api.AgentConfig:
    groups, tools = stored.toolgroups, stored.client_tools
    return agent_api.AgentConfig(
        model=stored.model,
        instructions=stored.instructions,
        name=stored.name,
        sampling_params=_sampling_params(stored.sampling_params),
        input_shields=stored.input_shields,
        output_shields=stored.output_shields,
        toolgroups=None if groups is None else [_toolgroup(group) for group in groups],
        client_tools=None if tools is None else [_tool_def(tool) for tool in tools],
        tool_choice=cast(Any, stored.tool_choice),
        tool_prompt_format=cast(Any, stored.tool_prompt_format),
        tool_config=_tool_config(stored.tool_config),
        max_infer_iters=stored.max_infer_iters,
        enable_session_persistence=stored.enable_session_persistence,
        response_format=_response_format(stored.response_format),
    )


def _toolgroup(stored: payload.AgentTool) -> agent_api.AgentTool:
    return stored if isinstance(stored, str) else agent_api.AgentToolGroupWithArgs(stored.name, stored.args)


def _tool_def(stored: payload.ToolDef) -> agent_api.ToolDef:
    return agent_api.ToolDef(
        name=stored.name,
        toolgroup_id=stored.toolgroup_id,
        description=stored.description,
        input_schema=stored.input_schema,
        output_schema=stored.output_schema,
        metadata=stored.metadata,
        tool_prompt_format=cast(Any, stored.tool_prompt_format),
    )


def _tool_config(stored: payload.ToolConfig | None) -> agent_api.ToolConfig | None:
    if stored is None:
        return None
    return agent_api.ToolConfig(
        tool_choice=stored.tool_choice,
        tool_prompt_format=cast(Any, stored.tool_prompt_format),
        system_message_behavior=cast(Any, stored.system_message_behavior),
    )


def _response_format(stored: payload.ResponseFormat | None) -> agent_api.ResponseFormat | None:
    match stored:
        case payload.ResponseFormat(type="json_schema", json_schema=dict(schema)):
            return agent_api.JsonSchemaResponseFormat(schema)
        case payload.ResponseFormat(type="grammar", bnf=dict(bnf)):
            return agent_api.GrammarResponseFormat(bnf)
    return None


def _sampling_params(stored: payload.SamplingParams | None) -> agent_api.SamplingParams | None:
    if stored is None:
        return None
    return agent_api.SamplingParams(
        strategy=_strategy(stored.strategy),
        max_tokens=stored.max_tokens,
        repetition_penalty=stored.repetition_penalty,
        stop=stored.stop,
    )


def _strategy(stored: payload.SamplingStrategy | None) -> agent_api.SamplingStrategy | None:
    match stored:
        case payload.SamplingStrategy(type="greedy"):
            return agent_api.GreedySamplingStrategy()
        case payload.SamplingStrategy(type="top_p"):
            return agent_api.TopPSamplingStrategy(stored.temperature, stored.top_p)
        case payload.SamplingStrategy(type="top_k", top_k=int(top_k)):
            return agent_api.TopKSamplingStrategy(top_k)
    return None


def candidate(stored: payload.EvalCandidate) -> eval_api.EvalCandidate | None:
    """Returns None for a candidate of an unknown type."""
    match stored:
        case payload.EvalCandidate(type="agent", config=payload.AgentConfig() as config):
            return eval_api.AgentCandidate(agent_config(config))
        case payload.EvalCandidate(type="model", model=str(model)):
            system = stored.system_message
            return eval_api.ModelCandidate(
                model,
                _sampling_params(stored.sampling_params) or agent_api.SamplingParams(),
                eval_api.SystemMessage(content(system.content)) if system else None,
            )
    return None


def scoring_params(stored: payload.ScoringParams) -> scoring_api.ScoringFnParams | None:
    """Returns None for parameters of an unknown type."""
    aggregations = cast(Any, stored.aggregation_functions or [])
    match stored:
        case payload.ScoringParams(type="llm_as_judge", judge_model=str(judge_model)):
            return scoring_api.LLMAsJudgeScoringFnParams(
                judge_model=judge_model,
                prompt_template=stored.prompt_template,
                judge_score_regexes=stored.judge_score_regexes or [],
                aggregation_functions=aggregations,
                keep_reasoning=stored.keep_reasoning,
            )
        case payload.ScoringParams(type="regex_parser"):
            return scoring_api.RegexParserScoringFnParams(
                parsing_regexes=stored.parsing_regexes or [],
                aggregation_functions=aggregations,
                keep_reasoning=stored.keep_reasoning,
            )
        case payload.ScoringParams(type="basic"):
            return scoring_api.BasicScoringFnParams(
                aggregation_functions=aggregations, keep_reasoning=stored.keep_reasoning
            )
    return None
