"""Scores one row, and converts all failures to a failed score row."""

from __future__ import annotations

from schemas.api.scoring_function import ScoringFnParams
from stack.providers.scoring.port import GENERATED, Definition, Row, RowFault, ScoreRow
from stack.providers.scoring.reasoning import without_reasoning


def scored(function: Definition, params: ScoringFnParams, row: Row) -> ScoreRow:
    """Returns the score row; `{score: 0, error}` for a row that cannot be scored. Raises MemoryError only."""
    try:
        return function.score_row(params, read_row(params, row))
    except RowFault as fault:
        return failed(fault.detail, fault.weight)
    except RecursionError:
        return failed("The row is nested too deeply to be scored.")
    except MemoryError:
        raise
    except Exception as error:
        # Libraries for mathematics and languages fail in many ways on unusual text; one row must not end a
        # job.
        return failed(f"The row cannot be scored: {type(error).__name__}: {str(error)[:200]}")


def read_row(params: ScoringFnParams, row: Row) -> Row:
    """Returns the row for functions and judges: without the model's reasoning, unless the parameters keep
    it."""
    if params.keep_reasoning:
        return row
    said = {name: without_reasoning(value) for name in GENERATED if isinstance(value := row.get(name), str)}
    return {**row, **said}


def failed(detail: str, weight: float | None = None) -> ScoreRow:
    return {"score": 0, "error": detail} | ({} if weight is None else {"weight": weight})
