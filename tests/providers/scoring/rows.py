"""Scores one row in the test's own process, where a fault of the row is raised as it is."""

from __future__ import annotations

from typing import Any

from schemas.api.scoring_function import ScoringFnParams
from stack.providers.scoring.registry import definition
from stack.providers.scoring.scored import scored


def score_row(name: str, row: dict[str, Any], params: ScoringFnParams | None = None) -> dict[str, Any]:
    function = definition(name)
    return scored(function, params or function.params, row)


def score(name: str, expected: Any, generated: Any, params: ScoringFnParams | None = None) -> float:
    """Returns the score of a row that must not fail."""
    row = score_row(name, {"expected_answer": expected, "generated_answer": generated}, params)
    assert "error" not in row, row
    return float(row["score"])


def error(name: str, row: dict[str, Any], params: ScoringFnParams | None = None) -> str:
    """Returns the error of a row that must fail, with the score 0."""
    failed = score_row(name, row, params)
    assert failed["score"] == 0
    return str(failed["error"])
