"""Scores by comparing the generated answer with the expected one: `basic::equality`, `basic::subset_of`."""

from __future__ import annotations

from schemas.api.scoring_function import BasicScoringFnParams, ScoringFnParams
from stack.providers.scoring.fields import field, kind
from stack.providers.scoring.port import Definition, Row, RowFault, ScoreRow

ACCURACY = BasicScoringFnParams(aggregation_functions=["accuracy"])


def equality(params: ScoringFnParams, row: Row) -> ScoreRow:
    """Returns 1 if the two answers are the same JSON value."""
    expected, generated = field(row, "expected_answer"), field(row, "generated_answer")
    same = kind(expected) == kind(generated) and expected == generated
    return {"score": 1.0 if same else 0.0}


def subset_of(params: ScoringFnParams, row: Row) -> ScoreRow:
    """Returns 1 if the expected text is part of the generated one, or the expected value is in a generated
    list."""
    expected, generated = field(row, "expected_answer"), field(row, "generated_answer")
    if isinstance(generated, str) and not isinstance(expected, str):
        raise RowFault(f"'expected_answer' is {kind(expected)}; it must be text, as 'generated_answer' is.")
    if not isinstance(generated, str | list):
        raise RowFault(f"'generated_answer' is {kind(generated)}; it must be text or a list.")
    return {"score": 1.0 if expected in generated else 0.0}


DEFINITIONS = (
    Definition(
        id="basic::equality",
        description="1 if the generated answer equals the expected one, else 0.",
        params=ACCURACY,
        score_row=equality,
    ),
    Definition(
        id="basic::subset_of",
        description="1 if the generated answer contains the expected one, else 0.",
        params=ACCURACY,
        score_row=subset_of,
    ),
)
