"""What a scoring function is, to those that list, check and call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from schemas.api.scoring_function import ScoringFnParams

Row = Mapping[str, Any]
ScoreRow = dict[str, Any]
"""`{score, ...}`; of a row that failed `{score: 0, error}`."""

FEEDBACK = "judge_feedback"
"""The judge's text: a field of the row that the grade is read from, and of the score row."""
GENERATED = ("generated_answer", FEEDBACK)
"""Fields whose text a model has written."""

Place = Literal["here", "worker", "judge"]


class RowFault(Exception):
    """The row cannot be scored: what it lacks, or what is wrong with it. Becomes the `error` of its score row.

    `weight` is what the row counts in a weighted average, 1 where it is not known.
    """

    def __init__(self, detail: str, weight: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.weight = weight


class Definition(Struct, frozen=True, kw_only=True):
    """A scoring function. `params` are its own parameters; what a request gives counts for that request only.

    `place` is where a row is scored: `here` in a few microseconds, in the `worker` process where it may take long
    or hang, or by a `judge` model. `score_row` does it, a judge's from the row's `judge_feedback`; it raises
    RowFault. `libraries` are the modules that it needs: the worker imports them before it begins to count time.
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
