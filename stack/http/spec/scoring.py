"""Description of scores, scoring functions and their parameters."""

from __future__ import annotations

from typing import Any, Literal, get_args

from schemas.api.scoring import ScoreBatchRequest, ScoreBatchResponse, ScoreRequest, ScoreResponse
from schemas.api.scoring_function import AggregationFunctionType, ScoringFnParams
from stack.http.spec.components import ANY_OBJECT, PREFIX, Details, Schema
from stack.http.spec.operation import EXTENSION, Operation

ParamsType = Literal["llm_as_judge", "regex_parser", "basic"]

_PARAMS: Schema = {
    "type": "object",
    "additionalProperties": {"oneOf": [{"$ref": PREFIX + "ScoringFnParams"}, {"type": "null"}]},
}


def _tag(kind: type) -> Schema:
    tag = str(kind.__struct_config__.tag)  # type: ignore[attr-defined]
    return {"$ref": PREFIX + "ScoringFnParamsType", "const": tag, "default": tag}


_KEEP_REASONING: Schema = {
    "default": False,
    "description": "Score what stands in `<think>` blocks too. Not part of the Llama Stack specification.",
    EXTENSION: True,
}

DETAILS: dict[type, Details] = {
    **{
        kind: Details(schemas={"type": _tag(kind)}, notes={"keep_reasoning": _KEEP_REASONING})
        for kind in get_args(ScoringFnParams)
    },
    ScoreRequest: Details(
        schemas={"input_rows": {"type": "array", "items": ANY_OBJECT}, "scoring_functions": _PARAMS}
    ),
    ScoreBatchRequest: Details(schemas={"scoring_functions": _PARAMS}),
}

NAMED: list[tuple[str, Any, Schema | None]] = [
    ("ScoringFnParams", ScoringFnParams, None),
    ("ScoringFnParamsType", ParamsType, None),
    ("AggregationFunctionType", AggregationFunctionType, None),
]


def operations(tag: str) -> tuple[Operation, Operation]:
    return (
        Operation(
            method="post",
            path="/v1/scoring/score",
            id="score",
            tag=tag,
            summary="Score rows.",
            description=(
                "Each row holds `generated_answer` and what else the functions read. A row that cannot be scored has "
                "the score 0 and an `error`; it counts in the aggregates."
            ),
            body=ScoreRequest,
            answer=ScoreResponse,
            says="The scores of each function, in the order of the rows, and their aggregates.",
        ),
        Operation(
            method="post",
            path="/v1/scoring/score-batch",
            id="score_batch",
            tag=tag,
            summary="Score the rows of a dataset.",
            description=(
                "With `save_results_dataset` the rows and their scores become a dataset, whose id is in the answer."
            ),
            body=ScoreBatchRequest,
            answer=ScoreBatchResponse,
            says="The scores of each function, in the order of the rows, and their aggregates.",
        ),
    )
