"""Calls a model to judge an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from schemas.api.scoring_function import LLMAsJudgeScoringFnParams
from stack.errors import (
    Invalid,
    ReplaystackError,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from stack.providers.inference.demo_extractive import DemoExtractive
from stack.providers.inference.port import InferenceProvider, InferenceRequest, TextChunk
from stack.providers.inference.registry import Models
from stack.providers.scoring import judge
from stack.providers.scoring.port import FEEDBACK, Definition, Row, RowFault, ScoreRow
from stack.providers.scoring.registry import has_own_patterns
from stack.providers.scoring.scored import failed, read_row, scored
from stack.providers.scoring.worker_pool import WorkerPool
from stack.services.effects import Effects

logger = logging.getLogger("replaystack.scoring")

AT_ONCE = 16
"""Maximum number of concurrent judgements; the model server has its own limit in addition."""
RETRY_S = (0.5, 2.0, 8.0)
LONGEST_RETRY_S = 30.0
MAX_FEEDBACK = 200_000
"""Maximum length of a judge's answer in characters; a longer answer is cancelled."""

_PASSING = (TooManyRequests, Unavailable, UpstreamFailed, UpstreamTimeout)


class Judge:
    """The judges of one server: any of its models, except the embedded demo, which cannot judge."""

    def __init__(self, models: Models, effects: Effects, workers: WorkerPool) -> None:
        self._models = models
        self._effects = effects
        self._workers = workers
        self._places = asyncio.Semaphore(AT_ONCE)

    async def find(self, model: str) -> tuple[InferenceProvider, str]:
        """Returns the provider and its name of the model. Raises Invalid for one that is unknown or cannot
        judge."""
        refuse_demo(model)
        provider, name = await self._models.resolve(model)
        refuse_demo(f"{provider.id}/{name}")
        return provider, name

    async def score_row(
        self, function: Definition, params: LLMAsJudgeScoringFnParams, row: Row, labels: Mapping[str, str]
    ) -> ScoreRow:
        """Returns the score row, with the judge's text as `judge_feedback`. The parameters must be complete.
        A permanent failure of the judge becomes that row's error."""
        try:
            asked = judge.prompt(params.prompt_template or "", read_row(params, row))
            async with self._places:
                said = await self._said(params.judge_model, asked, labels)
        except (RowFault, ReplaystackError) as error:
            return failed(error.detail)
        except Exception:
            logger.exception("judge %s failed unexpectedly", params.judge_model)
            return failed("The judge failed inside the server. Its log has the details.")
        return await self._graded(function, params, {FEEDBACK: said}) | {FEEDBACK: said}

    async def _graded(
        self, function: Definition, params: LLMAsJudgeScoringFnParams, said: Mapping[str, str]
    ) -> ScoreRow:
        if has_own_patterns(function, params):
            return scored(function, params, said)
        return await self._workers.score(function, params, said)

    async def _said(self, model: str, asked: str, labels: Mapping[str, str]) -> str:
        for pause_s in (*RETRY_S, None):
            try:
                return await self._ask(model, asked, labels)
            except _PASSING as error:
                if pause_s is None:
                    raise
                logger.info("judge %s: %s", model, error.detail)
                await asyncio.sleep(min(max(pause_s, error.retry_after or 0), LONGEST_RETRY_S))
        raise AssertionError

    async def _ask(self, model: str, asked: str, labels: Mapping[str, str]) -> str:
        provider, name = await self.find(model)
        message = Raw(msgspec.json.encode({"role": "user", "content": asked}))
        request = InferenceRequest(model=name, messages=[message], temperature=0.0)
        events = self._effects.infer(provider, request, labels)
        parts: list[str] = []
        characters = 0
        try:
            async for event in events:
                if isinstance(event, TextChunk):
                    parts.append(event.text)
                    characters += len(event.text)
                if characters > MAX_FEEDBACK:
                    raise RowFault(f"The judge does not end: it said more than {MAX_FEEDBACK:,} characters.")
        finally:
            await events.aclose()
        return "".join(parts)


def refuse_demo(model: str) -> None:
    """Raises Invalid for a name of the demo model."""
    provider, _, name = model.rpartition("/")
    if provider in ("", "demo") and name in DemoExtractive.NAMES:
        raise Invalid(
            f"judge_model: {model!r} cannot judge. It is a lexical demo that quotes its input and understands "
            "nothing; name a language model."
        )
