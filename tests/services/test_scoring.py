"""Scoring as services call it: checks, places, parameters that act once; the judge with a provider of the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from schemas.api.model import Model
from schemas.api.scoring_function import (
    BasicScoringFnParams,
    LLMAsJudgeScoringFnParams,
    RegexParserScoringFnParams,
    ScoringFnParams,
)
from schemas.events.payload import TurnUsage
from stack.errors import Invalid, ReplaystackError, TooManyRequests, UpstreamFailed
from stack.providers.inference.port import (
    Capabilities,
    Finished,
    InferenceEvent,
    InferenceRequest,
    Opened,
    TextChunk,
)
from stack.providers.inference.registry import Models
from stack.providers.scoring.registry import definitions
from stack.providers.scoring.worker_pool import WorkerPool
from stack.services.effects import RealEffects
from stack.services.scoring import judge as judges
from stack.services.scoring.judge import Judge
from stack.services.scoring.scoring import SLICE_ROWS, Scoring
from telemetry.own.metrics import Metrics
from telemetry.own.model_call import ModelCalls
from telemetry.own.tracing import Tracing

EQUALITY, CHOICE, BASE = "basic::equality", "basic::regex_parser_multiple_choice_answer", "llm-as-judge::base"
BASIC = BasicScoringFnParams(aggregation_functions=["average"])


def judging(
    template: str | None = None, *regexes: str, model: str = "fake/judge"
) -> LLMAsJudgeScoringFnParams:
    return LLMAsJudgeScoringFnParams(
        judge_model=model,
        prompt_template=template,
        judge_score_regexes=list(regexes),
        aggregation_functions=[],
    )


class Provider:
    """A fake at the edge: says what it is told to, or raises it."""

    id = "fake"
    base_url = ""
    capabilities = Capabilities()

    def __init__(self, *says: str | ReplaystackError) -> None:
        self.says = list(says)
        self.requests: list[InferenceRequest] = []
        self.open = self.most_open = 0

    async def models(self) -> list[Model]:
        return []

    async def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        self.requests.append(request)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, ReplaystackError):
            raise said
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            yield Opened()
            await asyncio.sleep(0)
            for piece in said.split(" "):
                yield TextChunk(piece + " ")
            yield Finished("stop", TurnUsage(1, 1))
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        pass


class OneProvider(Models):
    def __init__(self, provider: Provider) -> None:
        super().__init__(discovery=False)
        self._provider = provider

    async def resolve(self, model: str) -> tuple[Any, str]:
        prefix, _, name = model.partition("/")
        return (self._provider, name) if prefix == "fake" else await super().resolve(model)


@asynccontextmanager
async def scoring(*says: str | ReplaystackError) -> AsyncIterator[tuple[Scoring, Provider]]:
    provider = Provider(*(says or ("Score: 1",)))
    workers = WorkerPool()
    calls = ModelCalls(Tracing(None), Metrics(enabled=False))
    effects = RealEffects(calls, Tracing(None))
    made = Scoring(Judge(OneProvider(provider), effects, workers), workers)
    try:
        yield made, provider
    finally:
        await made.aclose()


def checked(names: list[str], params: Mapping[str, ScoringFnParams | None]) -> None:
    async def run() -> None:
        async with scoring() as (made, _):
            made.check(names, params)

    asyncio.run(run())


def test_good_parameters_pass() -> None:
    checked(list(definitions())[:7], {})
    regexes = RegexParserScoringFnParams(parsing_regexes=[r"(\d)"], aggregation_functions=["median"])
    checked([EQUALITY, CHOICE, BASE], {EQUALITY: BASIC, CHOICE: regexes, BASE: judging()})
    checked([EQUALITY], {EQUALITY: None})


@pytest.mark.parametrize(
    ("names", "params", "problem"),
    [
        (["basic::equalty"], {}, "Nearest: 'basic::equality'.*llm-as-judge::base"),
        ([EQUALITY], {CHOICE: None}, "parameters for .*multiple_choice.*not asked for.*basic::equality"),
        ([EQUALITY], {"nonsense": None}, "no scoring function 'nonsense'"),
        ([CHOICE], {CHOICE: BASIC}, "type 'basic'; it takes 'regex_parser'"),
        ([EQUALITY], {EQUALITY: judging()}, "type 'llm_as_judge'; it takes 'basic'"),
        (
            [EQUALITY],
            {EQUALITY: BasicScoringFnParams(aggregation_functions=["mode"])},  # type: ignore[list-item]
            "aggregation_functions has 'mode'.*weighted_average",
        ),
        (
            [CHOICE],
            {CHOICE: RegexParserScoringFnParams(parsing_regexes=["(?=a)"], aggregation_functions=[])},
            r"parsing_regexes\[0\].*look-ahead",
        ),
        ([BASE], {}, "needs a judge_model"),
        ([BASE], {BASE: judging(model="")}, "judge_model is empty"),
        ([BASE], {BASE: judging(model="demo/extractive")}, "cannot judge.*understands nothing"),
        ([BASE], {BASE: judging(model="extractive")}, "cannot judge"),
        ([BASE], {BASE: judging("{generated_answer} {x}")}, r"prompt_template has \{x\}"),
    ],
)
def test_what_can_be_refused_at_once_is(
    names: list[str], params: dict[str, ScoringFnParams | None], problem: str
) -> None:
    with pytest.raises(Invalid, match=problem):
        checked(names, params)


def test_an_unknown_judge_is_refused_before_it_is_asked() -> None:
    async def run() -> None:
        async with scoring() as (made, _):
            await made.check_judges({BASE: judging(), EQUALITY: None})
            with pytest.raises(Invalid, match="model: 'no/judge' is unknown"):
                await made.check_judges({BASE: judging(model="no/judge")})

    asyncio.run(run())


def test_parameters_act_once() -> None:
    own = RegexParserScoringFnParams(parsing_regexes=[r"<(\w)>"], aggregation_functions=["average"])
    before = definitions()[CHOICE].params

    async def run() -> None:
        async with scoring() as (made, _):
            row = {"expected_answer": "B", "generated_answer": "<B> Answer: C"}
            assert await made.score_row(CHOICE, own, row) == {"score": 1.0}
            assert await made.score_row(CHOICE, None, row) == {"score": 0.0}
            results = await made.score([row], {CHOICE: own})
            assert results[CHOICE].aggregated_results == {"average": {"average": 1.0}}
            results = await made.score([row], {CHOICE: None})
            assert list(results[CHOICE].aggregated_results) == ["accuracy"]

    asyncio.run(run())
    assert definitions()[CHOICE].params is before


def test_all_places_keep_the_order_of_rows() -> None:
    rows = [{"expected_answer": str(n % 3), "generated_answer": "1"} for n in range(SLICE_ROWS + 5)]

    async def run() -> None:
        async with scoring("Score: 4") as (made, provider):
            functions = {EQUALITY: None, "basic::docvqa": None, BASE: judging("{generated_answer}")}
            results = await made.score(rows, functions)
            right = [float(n % 3 == 1) for n in range(len(rows))]
            assert [row["score"] for row in results[EQUALITY].score_rows] == right
            assert [row["score"] for row in results["basic::docvqa"].score_rows] == right
            assert results[BASE].aggregated_results == {"average": {"average": 4}}
            assert 1 < provider.most_open <= judges.AT_ONCE

    asyncio.run(run())


def test_no_rows_and_no_functions_are_fine() -> None:
    async def run() -> None:
        async with scoring() as (made, _):
            assert (await made.score([], {EQUALITY: None}))[EQUALITY].score_rows == []
            assert await made.score([{}], {}) == {}

    asyncio.run(run())


def test_a_judge_is_asked_with_the_row_and_read() -> None:
    async def run() -> None:
        async with scoring("I think so. Score: 8") as (made, provider):
            row = {"generated_answer": "{generated_answer} {{x}}"}
            scored = await made.score_row(BASE, judging("Judge {generated_answer}"), row)
            assert scored == {"score": 8, "judge_feedback": "I think so. Score: 8 "}
            (request,) = provider.requests
            assert request.model == "judge" and request.temperature == 0
            assert bytes(request.messages[0]) == b'{"role":"user","content":"Judge {generated_answer} {{x}}"}'

    asyncio.run(run())


def test_a_judge_that_answers_rubbish_fails_the_row_and_is_quoted() -> None:
    async def run() -> None:
        async with scoring("Who knows?") as (made, _):
            scored = await made.score_row(BASE, judging("{generated_answer}"), {"generated_answer": "x"})
            assert scored["score"] == 0 and "no grade" in scored["error"]
            assert scored["judge_feedback"] == "Who knows? "

    asyncio.run(run())


def test_own_patterns_are_matched_in_the_worker() -> None:
    async def run() -> None:
        async with scoring("good " * 3) as (made, _):
            scored = await made.score_row(
                BASE, judging("{generated_answer}", "(go+d)"), {"generated_answer": "x"}
            )
            assert scored["score"] == "good" and made._workers._pool._starter.has_workers

    asyncio.run(run())


def test_an_upstream_is_asked_again_and_then_its_failure_is_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "RETRY_S", (0.01, 0.01))
    busy = TooManyRequests("The judge is busy.")

    async def run() -> None:
        row = {"generated_answer": "x"}
        async with scoring(busy, UpstreamFailed("Cut."), "Score: 2") as (made, provider):
            assert (await made.score_row(BASE, judging("{generated_answer}"), row))["score"] == 2
            assert len(provider.requests) == 3
        async with scoring(busy) as (made, provider):
            scored = await made.score_row(BASE, judging("{generated_answer}"), row)
            assert scored == {"score": 0, "error": "The judge is busy."}
            assert len(provider.requests) == 3
        async with scoring(Invalid("Too long.")) as (made, provider):
            scored = await made.score_row(BASE, judging("{generated_answer}"), row)
            assert scored == {"score": 0, "error": "Too long."} and len(provider.requests) == 1

    asyncio.run(run())


def test_a_judge_that_never_ends_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "MAX_FEEDBACK", 1000)

    async def run() -> None:
        async with scoring("word " * 100_000) as (made, provider):
            scored = await made.score_row(BASE, judging("{generated_answer}"), {"generated_answer": "x"})
            assert "does not end" in scored["error"] and provider.open == 0

    asyncio.run(run())


def test_a_judge_whose_row_lacks_a_field_is_not_asked() -> None:
    async def run() -> None:
        async with scoring() as (made, provider):
            scored = await made.score_row(BASE, judging(), {"generated_answer": "x"})
            assert "no 'input_query'" in scored["error"] and provider.requests == []

    asyncio.run(run())


@pytest.mark.slow
def test_heavy_rows_leave_the_loop_free() -> None:
    rows = [{"expected_answer": "x", "generated_answer": "Answer: B " * 50} for _ in range(20_000)]
    rows += [{"expected_answer": "y", "generated_answer": "x" * 10_000_000} for _ in range(3)]
    gaps = []

    async def watch() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.001)
            gaps.append(time.monotonic() - began)

    async def run() -> None:
        async with scoring() as (made, _):
            watching = asyncio.create_task(watch())
            await made.score(rows, {CHOICE: None, EQUALITY: None, "basic::subset_of": None})
            watching.cancel()

    began = time.monotonic()
    asyncio.run(run())
    took = time.monotonic() - began
    gaps.sort()
    assert gaps[len(gaps) * 99 // 100] < took / 10, (gaps[-5:], len(gaps), took)
