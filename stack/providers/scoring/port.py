"""The interface of scoring functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from schemas.api.scoring_function import ScoringFnParams

Row = Mapping[str, Any]
ScoreRow = dict[str, Any]
"""`{score, ...}`, or `{score: 0, error}` for a failed row."""

FEEDBACK = "judge_feedback"
"""The judge's text: a field of the row from which the grade is read, and of the score row."""
GENERATED = ("generated_answer", FEEDBACK)
"""Fields whose text was written by a model."""

Place = Literal["here", "worker", "judge"]


class RowFault(Exception):
    """The row cannot be scored: something is missing or invalid. The text becomes the `error` of its score
    row.

    `weight` is the row's weight in a weighted average, 1 if it is unknown.
    """

    def __init__(self, detail: str, weight: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.weight = weight


class Definition(Struct, frozen=True, kw_only=True):
    """A scoring function. `params` are its own parameters; those of a request apply to that request only.

    `place` determines where a row is scored: `here` in a few microseconds, in the `worker` process if it may
    take long or hang, or by a `judge` model. `score_row` computes the score, for a judge from the row's
    `judge_feedback`; it raises RowFault. `libraries` are the modules that it needs: the worker imports them
    before it starts to measure time.
    """

    id: str
    description: str
    params: ScoringFnParams
    score_row: Callable[[ScoringFnParams, Row], ScoreRow]
    place: Place = "here"
    libraries: tuple[str, ...] = ()

    @property
    def provider_id(self) -> str:
        """`basic` or `llm-as-judge`: the part of the name before `::`."""
        return self.id.partition("::")[0]
