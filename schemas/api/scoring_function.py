"""Scoring functions and their parameters. `GET /v1/scoring-functions` is not part of the specification."""

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
    """Parameters of a function that lets a model judge the answer.

    `prompt_template` may contain `{input_query}`, `{expected_answer}` and `{generated_answer}`. The score is
    the first group of the last match of the first of `judge_score_regexes` (RE2) that matches the judge's
    text. An empty list means the function's defaults. Reasoning (`<think>...</think>`) is removed from the
    judged answer and from the judge's own text unless `keep_reasoning` is true (not part of the Llama Stack
    specification)."""

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
    """The answer is the first group of the first of `parsing_regexes` (RE2) that matches. An empty list means
    the function's own rules. Reasoning is removed first unless `keep_reasoning` is true."""

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
    """An empty list means the function's defaults. Reasoning is removed first unless `keep_reasoning` is
    true."""

    aggregation_functions: list[AggregationFunctionType]
    keep_reasoning: bool = False


ScoringFnParams = LLMAsJudgeScoringFnParams | RegexParserScoringFnParams | BasicScoringFnParams


class ReturnType(Struct, frozen=True):
    """The type of a function's result, as a JSON Schema type."""

    type: str


class ScoringFunction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Scores the generated answer for one row. `params` are its defaults, which a request may override."""

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
