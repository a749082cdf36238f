"""Scores one row, whatever is wrong with it."""

from __future__ import annotations

from schemas.api.scoring_function import ScoringFnParams
from stack.providers.scoring.port import Definition, Row, RowFault, ScoreRow


def scored(function: Definition, params: ScoringFnParams, row: Row) -> ScoreRow:
    """The score row; `{score: 0, error}` for a row that cannot be scored. Raises MemoryError only."""
    try:
        return function.score_row(params, row)
    except RowFault as fault:
        return failed(fault.detail, fault.weight)
    except RecursionError:
        return failed("The row is nested too deeply to be scored.")
    except MemoryError:
        raise
    except Exception as error:
        # Libraries for mathematics and languages fail in many ways on strange text; one row must not end a job.
        return failed(f"The row cannot be scored: {type(error).__name__}: {str(error)[:200]}")


def failed(detail: str, weight: float | None = None) -> ScoreRow:
    return {"score": 0, "error": detail} | ({} if weight is None else {"weight": weight})
