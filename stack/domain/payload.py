"""Converts requests to the form in which events are stored. `projections.wire` converts back.

Texts are passed by reference and never copied: an image may have 20 MiB.
"""

from __future__ import annotations

from schemas.api import agent as agent_api
from schemas.api import content as content_api
from schemas.api import eval as eval_api
from schemas.api import scoring_function as scoring_api
from schemas.api import turn as turn_api
from schemas.events import payload


def content(given: content_api.InterleavedContent) -> payload.Content:
    if isinstance(given, str):
        return given
    return [item(one) for one in given] if isinstance(given, list) else item(given)


def item(given: content_api.ContentItem) -> payload.ContentItem:
    if isinstance(given, content_api.TextContentItem):
        return payload.ContentItem(type="text", text=given.text)
    url = payload.URL(given.image.url.uri) if given.image.url else None
    return payload.ContentItem(type="image", image=payload.ImageSource(url, given.image.data))


def input_message(given: content_api.InputMessage) -> payload.InputMessage:
    if isinstance(given, content_api.ToolResponseMessage):
        return payload.InputMessage(role="tool", call_id=given.call_id, content=content(given.content))
    context = None if given.context is None else content(given.context)
    return payload.InputMessage(role="user", content=content(given.content), context=context)


def tool_response(given: turn_api.ToolResponse) -> payload.ToolResponse:
    return payload.ToolResponse(given.call_id, given.tool_name, content(given.content), given.metadata)


def document(given: turn_api.Document) -> payload.Document:
    return payload.Document(given.content, given.mime_type, given.document_id, given.metadata)


def toolgroups(given: list[agent_api.AgentTool] | None) -> list[payload.AgentTool] | None:
    if given is None:
        return None
    return [tool if isinstance(tool, str) else payload.AgentToolGroup(tool.name, tool.args) for tool in given]


def tool_config(given: agent_api.ToolConfig | None) -> payload.ToolConfig | None:
    if given is None:
        return None
    return payload.ToolConfig(
        tool_choice=given.tool_choice,
        tool_prompt_format=given.tool_prompt_format,
        system_message_behavior=given.system_message_behavior,
    )


def agent_config(given: agent_api.AgentConfig) -> payload.AgentConfig:
    """Converts a configuration in the contract's form, without the fields that only older clients send."""
    tools = given.client_tools
    return payload.AgentConfig(
        model=given.model,
        instructions=given.instructions,
        name=given.name,
        sampling_params=sampling_params(given.sampling_params),
        input_shields=given.input_shields,
        output_shields=given.output_shields,
        toolgroups=toolgroups(given.toolgroups),
        client_tools=None if tools is None else [_tool_def(tool) for tool in tools],
        tool_choice=given.tool_choice,
        tool_prompt_format=given.tool_prompt_format,
        tool_config=tool_config(given.tool_config),
        max_infer_iters=given.max_infer_iters,
        enable_session_persistence=given.enable_session_persistence,
        response_format=_response_format(given.response_format),
    )


def _tool_def(given: agent_api.ToolDef) -> payload.ToolDef:
    return payload.ToolDef(
        name=given.name,
        toolgroup_id=given.toolgroup_id,
        description=given.description,
        input_schema=given.input_schema,
        output_schema=given.output_schema,
        metadata=given.metadata,
        tool_prompt_format=given.tool_prompt_format,
    )


def _response_format(given: agent_api.ResponseFormat | None) -> payload.ResponseFormat | None:
    match given:
        case agent_api.JsonSchemaResponseFormat(json_schema=schema):
            return payload.ResponseFormat(type="json_schema", json_schema=schema)
        case agent_api.GrammarResponseFormat(bnf=bnf):
            return payload.ResponseFormat(type="grammar", bnf=bnf)
    return None


def sampling_params(given: agent_api.SamplingParams | None) -> payload.SamplingParams | None:
    if given is None:
        return None
    return payload.SamplingParams(
        strategy=_strategy(given.strategy),
        max_tokens=given.max_tokens,
        repetition_penalty=given.repetition_penalty,
        stop=given.stop,
    )


def _strategy(given: agent_api.SamplingStrategy | None) -> payload.SamplingStrategy | None:
    match given:
        case agent_api.GreedySamplingStrategy():
            return payload.SamplingStrategy(type="greedy")
        case agent_api.TopPSamplingStrategy(temperature=temperature, top_p=top_p):
            return payload.SamplingStrategy(type="top_p", temperature=temperature, top_p=top_p)
        case agent_api.TopKSamplingStrategy(top_k=top_k):
            return payload.SamplingStrategy(type="top_k", top_k=top_k)
    return None


def model_candidate(
    given: eval_api.ModelCandidate, params: payload.SamplingParams | None
) -> payload.EvalCandidate:
    """`params` are its normalised sampling parameters."""
    system = given.system_message
    return payload.EvalCandidate(
        type="model",
        model=given.model,
        sampling_params=params,
        system_message=payload.SystemMessage(content=content(system.content)) if system else None,
    )


def benchmark_config(
    given: eval_api.BenchmarkConfig, candidate: payload.EvalCandidate
) -> payload.BenchmarkConfig:
    """`candidate` is its normalised candidate."""
    params = given.scoring_params
    return payload.BenchmarkConfig(
        eval_candidate=candidate,
        scoring_params=None if params is None else {name: _scoring(one) for name, one in params.items()},
        num_examples=given.num_examples,
    )


def _scoring(given: scoring_api.ScoringFnParams) -> payload.ScoringParams:
    aggregations, keep_reasoning = [*given.aggregation_functions], given.keep_reasoning
    match given:
        case scoring_api.LLMAsJudgeScoringFnParams():
            return payload.ScoringParams(
                type="llm_as_judge",
                judge_model=given.judge_model,
                prompt_template=given.prompt_template,
                judge_score_regexes=given.judge_score_regexes,
                aggregation_functions=[*aggregations],
                keep_reasoning=keep_reasoning,
            )
        case scoring_api.RegexParserScoringFnParams(parsing_regexes=regexes):
            return payload.ScoringParams(
                type="regex_parser",
                parsing_regexes=regexes,
                aggregation_functions=[*aggregations],
                keep_reasoning=keep_reasoning,
            )
    return payload.ScoringParams(
        type="basic", aggregation_functions=[*aggregations], keep_reasoning=keep_reasoning
    )
