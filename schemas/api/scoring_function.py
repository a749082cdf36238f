"""Scoring functions and their parameters: those of the contract, and `GET /v1/scoring-functions`, which is not part of it."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

AggregationFunctionType = Literal["average", "weighted_average", "median", "categorical_count", "accuracy"]


class LLMAsJudgeScoringFnParams(
    Struct,
    frozen=True,
    tag_field="type",
    tag="llm_as_judge",
    omit_defaults=True,
    forbid_unknown_fields=True,
    kw_only=True,
):
    """`prompt_template` holds `{input_query}`, `{expected_answer}` and `{generated_answer}`. The score is the
    first group of the last match of the first of `judge_score_regexes` (RE2) that matches the judge's text. An empty
    list means the function's defaults. Reasoning (`<think>...</think>`) is left out of the answer that is judged and
    of the judge's own text unless `keep_reasoning` is true (not part of the Llama Stack specification)."""

    judge_model: str
    prompt_template: str | None = None
    judge_score_regexes: list[str]
    aggregation_functions: list[AggregationFunctionType]
    keep_reasoning: bool = False


class RegexParserScoringFnParams(
    Struct,
    frozen=True,
    tag_field="type",
    tag="regex_parser",
    omit_defaults=True,
    forbid_unknown_fields=True,
    kw_only=True,
):
    """The answer is the first group of the first of `parsing_regexes` (RE2) that matches. An empty list means the
    function's own rules. Reasoning is left out first unless `keep_reasoning` is true."""

    parsing_regexes: list[str]
    aggregation_functions: list[AggregationFunctionType]
    keep_reasoning: bool = False


class BasicScoringFnParams(
    Struct,
    frozen=True,
    tag_field="type",
    tag="basic",
    omit_defaults=True,
    forbid_unknown_fields=True,
    kw_only=True,
):
    """An empty list means the function's defaults. Reasoning is left out first unless `keep_reasoning` is true."""

    aggregation_functions: list[AggregationFunctionType]
    keep_reasoning: bool = False


ScoringFnParams = LLMAsJudgeScoringFnParams | RegexParserScoringFnParams | BasicScoringFnParams


class ReturnType(Struct, frozen=True):
    """What a function returns, as a type of JSON schema."""

    type: str


class ScoringFunction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Scores what was generated for one row. `params` are those that it uses unless a request gives others."""

    identifier: str
    provider_id: str
    type: Literal["scoring_function"]
    return_type: ReturnType
    metadata: dict[str, Any]
    description: str | None = None
    params: ScoringFnParams | None = None
    provider_resource_id: str | None = None


class ListScoringFunctionsResponse(Struct, frozen=True):
    data: list[ScoringFunction]
