"""Scores rows with the functions of `stack/providers/scoring`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.api.scoring import ScoringResult
from schemas.api.scoring_function import ScoringFnParams
from stack.errors import Invalid
from stack.providers.scoring import aggregation, registry
from stack.providers.scoring.port import Definition, RowFault, ScoreRow

logger = logging.getLogger("replaystack.scoring")

NONE: Mapping[str, str] = {}


class Scoring:
    """The scoring functions of one server. Parameters act on the call that they are given to, and nothing else."""

    def check(self, names: Iterable[str], params: Mapping[str, ScoringFnParams | None]) -> None:
        """Raises Invalid for what can be told at once: a function that is unknown, parameters of another function
        or of the wrong type, patterns that RE2 refuses, a judge without a model."""
        asked = list(names)
        for name in asked:
            check_params(registry.definition(name), params.get(name))
        for name in params:
            if name not in asked:
                registry.definition(name)
                raise Invalid(
                    f"There are parameters for {name!r}, which is not asked for. Asked for: {', '.join(asked)}."
                )

    async def score_row(
        self,
        name: str,
        params: ScoringFnParams | None,
        row: Mapping[str, Any],
        labels: Mapping[str, str] = NONE,
    ) -> dict[str, Any]:
        """One score row, `{score, ...}`. What is wrong with the row or the judge is `{score: 0, error}`.

        `labels` say on whose behalf a judge is asked (attributes of its span). Raises Invalid for a function that
        is unknown.
        """
        function = registry.definition(name)
        return _scored_here(function, params or function.params, row)

    def aggregate(
        self, name: str, params: ScoringFnParams | None, score_rows: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The aggregates that the parameters ask for, each under its name; those of the function if they ask for
        none."""
        function = registry.definition(name)
        asked = params.aggregation_functions if params is not None else []
        return aggregation.aggregate(asked or function.params.aggregation_functions, score_rows)

    async def score(
        self,
        rows: Sequence[Mapping[str, Any]],
        functions: Mapping[str, ScoringFnParams | None],
        labels: Mapping[str, str] = NONE,
    ) -> dict[str, ScoringResult]:
        """Scores all rows with each function. Check the functions first."""
        results = {}
        for name, params in functions.items():
            scored = await asyncio.gather(*(self.score_row(name, params, row, labels) for row in rows))
            results[name] = ScoringResult(list(scored), self.aggregate(name, params, scored))
        return results


def check_params(function: Definition, params: ScoringFnParams | None) -> None:
    """Raises Invalid for parameters that the function cannot use."""
    if params is not None and type(params) is not type(function.params):
        wanted = function.params.__struct_config__.tag
        given = params.__struct_config__.tag
        raise Invalid(f"The parameters of {function.id!r} have the type {given!r}; it takes {wanted!r}.")


def _scored_here(function: Definition, params: ScoringFnParams, row: Mapping[str, Any]) -> ScoreRow:
    assert function.score_row is not None
    try:
        return function.score_row(params, row)
    except RowFault as fault:
        return failed(fault)


def failed(fault: RowFault) -> ScoreRow:
    weight = {} if fault.weight is None else {"weight": fault.weight}
    return {"score": 0, "error": fault.detail} | weight
