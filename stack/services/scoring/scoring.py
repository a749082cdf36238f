"""Scores rows with the functions of `stack/providers/scoring`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from schemas.api.scoring import ScoringResult
from schemas.api.scoring_function import (
    LLMAsJudgeScoringFnParams,
    RegexParserScoringFnParams,
    ScoringFnParams,
)
from stack.errors import Invalid
from stack.off_loop import off_loop_if
from stack.providers import patterns
from stack.providers.scoring import aggregation, judge, registry
from stack.providers.scoring.port import Definition, Row, ScoreRow
from stack.providers.scoring.scored import failed, scored
from stack.providers.scoring.worker_pool import WorkerPool
from stack.services.scoring.judge import Judge, refuse_demo

SLICE_ROWS = 256
"""Number of rows that are scored together; other requests are served in between."""
FEW_ROWS = 8
FEW_CHARACTERS = 65_536
"""Maximum size of rows that are scored on the event loop, in characters, because a thread would take
longer."""
AGGREGATED_HERE = 1_000

NO_LABELS: Mapping[str, str] = {}

Functions = Mapping[str, ScoringFnParams | None]


class ScoredSlice(Struct, frozen=True):
    """Some rows, and for each function one score row for each of them."""

    rows: Sequence[Row]
    scores: dict[str, list[ScoreRow]]


class Scoring:
    """The scoring functions of one server. Parameters apply only to the call to which they are passed."""

    def __init__(self, judge: Judge, workers: WorkerPool) -> None:
        self._judge = judge
        self._workers = workers

    def functions(self) -> Sequence[Definition]:
        """Returns all functions, including those whose libraries are not installed."""
        return tuple(registry.definitions().values())

    def unavailable(self, function: Definition) -> str:
        """Returns why the function cannot be used on this server, with the remedy; empty if it can."""
        return registry.unavailable(function.id)

    def check(self, names: Iterable[str], params: Functions) -> None:
        """Raises Invalid for errors that can be found immediately: a function that is unknown or not
        installed, parameters of another function or of the wrong type, patterns that RE2 refuses, a judge
        without a model."""
        asked = list(names)
        for name in asked:
            check_params(registry.usable(name), params.get(name))
        for name in params:
            if name not in asked:
                registry.definition(name)
                raise Invalid(
                    f"There are parameters for {name[:100]!r}, which is not asked for. Asked for: {', '.join(asked)}."
                )

    def check_names(self, names: Iterable[str]) -> None:
        """Raises Invalid for a function that is unknown or not installed. Its parameters are not known
        yet."""
        for name in names:
            registry.usable(name)

    async def check_judges(self, params: Functions) -> None:
        """Raises Invalid for a judge model that no provider has."""
        for one in params.values():
            if isinstance(one, LLMAsJudgeScoringFnParams):
                await self._judge.find(one.judge_model)

    async def score_row(
        self, name: str, params: ScoringFnParams | None, row: Row, labels: Mapping[str, str] = NO_LABELS
    ) -> ScoreRow:
        """Returns one score row, `{score, ...}`, or `{score: 0, error}` for an error of the row or the judge.

        `labels` identify the caller of a judge (attributes of its span). Raises Invalid for a function that
        is unknown.
        """
        return (await self._score_rows(registry.usable(name), params, [row], labels))[0]

    def aggregate(
        self, name: str, params: ScoringFnParams | None, score_rows: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Returns the aggregates that the parameters request, by name; the function's own if they request
        none."""
        function = registry.definition(name)
        asked = params.aggregation_functions if params is not None else []
        return aggregation.aggregate(asked or function.params.aggregation_functions, score_rows)

    async def score(
        self, rows: Sequence[Row], functions: Functions, labels: Mapping[str, str] = NO_LABELS
    ) -> dict[str, ScoringResult]:
        """Scores all rows with each function. Check the functions first."""
        scores: dict[str, list[ScoreRow]] = {name: [] for name in functions}
        async for part in self.slices(rows, functions, labels):
            for name, score_rows in part.scores.items():
                scores[name] += score_rows
        return await self.results(functions, scores)

    async def slices(
        self, rows: Sequence[Row], functions: Functions, labels: Mapping[str, str] = NO_LABELS
    ) -> AsyncGenerator[ScoredSlice, None]:
        """Yields the rows with their scores, some hundred at a time."""
        for start in range(0, len(rows), SLICE_ROWS):
            part = rows[start : start + SLICE_ROWS]
            yield ScoredSlice(
                part,
                {
                    name: await self._score_rows(registry.usable(name), params, part, labels)
                    for name, params in functions.items()
                },
            )

    async def results(
        self, functions: Functions, scores: Mapping[str, list[ScoreRow]]
    ) -> dict[str, ScoringResult]:
        """Returns the results of the functions, given all their score rows."""
        results = {}
        for name, params in functions.items():
            is_large = len(scores[name]) > AGGREGATED_HERE
            aggregated = await off_loop_if(is_large, self.aggregate, name, params, scores[name])
            results[name] = ScoringResult(scores[name], aggregated)
        return results

    async def _score_rows(
        self,
        function: Definition,
        params: ScoringFnParams | None,
        rows: Sequence[Row],
        labels: Mapping[str, str],
    ) -> list[ScoreRow]:
        given = _complete(params, function.params)
        if function.place == "here" and registry.has_own_patterns(function, given):
            is_large = len(rows) > FEW_ROWS or _characters(rows) > FEW_CHARACTERS
            return await off_loop_if(is_large, _scored_here, function, given, rows)
        if function.place != "judge":
            return await asyncio.gather(*(self._workers.score(function, given, row) for row in rows))
        if not isinstance(given, LLMAsJudgeScoringFnParams) or not given.judge_model:
            return [failed("No judge_model is named.") for _ in rows]
        return await asyncio.gather(*(self._judge.score_row(function, given, row, labels) for row in rows))

    async def aclose(self) -> None:
        await self._workers.aclose()


def check_params(function: Definition, params: ScoringFnParams | None) -> None:
    """Raises Invalid for parameters that the function cannot use."""
    where = f"The parameters of {function.id!r}"
    if params is None:
        if function.place == "judge":
            raise Invalid(f"{where} are missing: it needs a judge_model, a model that judges.")
        return
    if type(params) is not type(function.params):
        wanted = function.params.__struct_config__.tag
        given = params.__struct_config__.tag
        raise Invalid(f"{where} have the type {given!r}; it takes {wanted!r}.")
    for name in params.aggregation_functions:
        if name not in aggregation.KNOWN:
            known = ", ".join(aggregation.KNOWN)
            raise Invalid(f"{where}: aggregation_functions has {str(name)[:80]!r}. Known: {known}.")
    if isinstance(params, RegexParserScoringFnParams):
        patterns.check(params.parsing_regexes, f"{where}: parsing_regexes")
    elif isinstance(params, LLMAsJudgeScoringFnParams):
        judge.check(params, where)
        refuse_demo(params.judge_model)


def _complete(params: ScoringFnParams | None, own: ScoringFnParams) -> ScoringFnParams:
    """Returns the parameters, completed by the function's own."""
    if isinstance(params, RegexParserScoringFnParams) and isinstance(own, RegexParserScoringFnParams):
        return replace(params, parsing_regexes=params.parsing_regexes or own.parsing_regexes)
    if isinstance(params, LLMAsJudgeScoringFnParams) and isinstance(own, LLMAsJudgeScoringFnParams):
        return replace(
            params,
            prompt_template=params.prompt_template or own.prompt_template,
            judge_score_regexes=params.judge_score_regexes or own.judge_score_regexes,
        )
    return params or own


def _scored_here(function: Definition, params: ScoringFnParams, rows: Sequence[Row]) -> list[ScoreRow]:
    return [scored(function, params, row) for row in rows]


def _characters(rows: Sequence[Row]) -> int:
    return sum(len(value) for row in rows for value in row.values() if isinstance(value, str))
