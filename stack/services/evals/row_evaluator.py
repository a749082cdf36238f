"""Evaluates one row: asks the candidate, retries after failures of an upstream, and scores the answer."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from schemas.api.scoring_function import ScoringFnParams
from schemas.events.evaljob import EvalJobRowEvaluated, Generation
from schemas.events.payload import TurnError, TurnUsage
from stack.domain import evaljob as evaljobs
from stack.domain.eval_row import EvalRow, read_row
from stack.errors import (
    InternalError,
    Invalid,
    ReplaystackError,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.services.evals.candidate import Answer, Candidate, RowFailed
from stack.services.evals.eval_rows import RowText
from stack.services.requests.caller import Caller
from stack.services.scoring.scoring import Scoring
from telemetry.own.tracing import Tracing

logger = logging.getLogger("replaystack.eval")

T = TypeVar("T")

# Errors that may be temporary. A request that was refused (400) would be refused again.
PASSING = (TooManyRequests, Unavailable, UpstreamFailed, UpstreamTimeout)
BACKOFF_S = 0.5
MAX_BACKOFF_S = 60.0
ANSWERLESS = frozenset(("basic::bfcl", "basic::ifeval", "llm-as-judge::base"))
"""Functions that can score a row without an expected answer."""


class RowLimits(Struct, frozen=True, kw_only=True):
    """The settings with the same names."""

    eval_row_attempts: int = 3
    turn_deadline_s: float = 1800.0


class RowEvaluator:
    """Evaluates the rows of one job independently and concurrently."""

    def __init__(
        self,
        candidate: Candidate,
        scoring: Scoring,
        functions: Mapping[str, ScoringFnParams | None],
        tracing: Tracing,
        limits: RowLimits,
        caller: Caller,
        labels: Mapping[str, str],
    ) -> None:
        self._candidate = candidate
        self._scoring = scoring
        self._functions = functions
        self._answered = needs_answer(tuple(functions))
        self._tracing = tracing
        self._limits = limits
        self._caller = caller
        self._labels = labels

    async def evaluate(self, row: RowText) -> EvalJobRowEvaluated:
        """Returns the event of the row. Failures become the row's; only errors of this server are raised."""
        attributes = dict(self._labels) | {"eval.row": row.number}
        with self._tracing.span(f"evaluate row {row.number}", attributes=attributes) as span:
            caller = Caller(self._caller.actor, self._caller.trace_id, span.traceparent, span.tracestate)
            began = time.monotonic()
            asked = _Asked()
            error: ReplaystackError | None = None
            answer = Answer("", TurnUsage())
            scores: dict[str, dict[str, Any]] = {}
            digest = await off_loop_if(
                len(row.text) > LARGE_JSON_BYTES, lambda: hashlib.sha256(row.text).hexdigest()[:16]
            )
            try:
                if row.error:
                    raise InternalError(row.error)
                read = await off_loop_if(
                    len(row.text) > LARGE_JSON_BYTES, lambda: read_row(row.text, self._answered)
                )
                answer = await self._answer(row.number, read, asked, caller)
                scores = await self._scored(read, answer)
                unscored = evaljobs.failed_row_error(scores)
                error = Invalid(unscored) if unscored else None
            except RowFailed as failed:
                error, answer = failed.error, Answer("", TurnUsage(), failed.session_id, failed.turn_id)
            except ReplaystackError as failed:
                error = failed
            if error is not None:
                span.fail(str(error.status))
                scores = scores or {name: {"score": 0, "error": error.detail} for name in self._functions}
            for name, score in scores.items():
                if isinstance(score.get("score"), int | float):
                    span.set(f"eval.score.{name}", float(score["score"]))
            return EvalJobRowEvaluated(
                row=row.number,
                input_digest=digest,
                generation=Generation(answer.text, "" if error is None or answer.text else error.detail),
                scores=scores,
                attempts=asked.attempts,
                duration_ms=round((time.monotonic() - began) * 1000),
                usage=answer.usage,
                error=TurnError(error.status, error.title, error.detail) if error else None,
                session_id=answer.session_id,
                turn_id=answer.turn_id,
            )

    async def _answer(self, number: int, row: EvalRow, asked: _Asked, caller: Caller) -> Answer:
        """Raises RowFailed and ReplaystackError after the last attempt, or if another one would not help."""
        while True:
            asked.attempts += 1
            try:
                return await self._in_time(number, row, asked.attempts, caller)
            except RowFailed as failed:
                error = failed.error
                if failed.final or not self._passes(error, asked.attempts):
                    raise
            except ReplaystackError as failed:
                error = failed
                if not self._passes(error, asked.attempts):
                    raise
            except Exception:
                logger.exception("row %d of %s failed unexpectedly", number, self._labels)
                raise InternalError("The row failed inside the server. Its log has the details.") from None
            await asyncio.sleep(backoff_s(asked.attempts, error.retry_after))

    async def _in_time(self, number: int, row: EvalRow, attempt: int, caller: Caller) -> Answer:
        deadline_s = self._limits.turn_deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                return await self._candidate.answer(number, row, attempt, caller, self._labels)
        except TimeoutError:
            late = UpstreamTimeout(f"The row was not answered within the deadline of {deadline_s:g} s.")
            raise RowFailed(late, final=True) from None

    def _passes(self, error: ReplaystackError, attempts: int) -> bool:
        return isinstance(error, PASSING) and attempts < self._limits.eval_row_attempts

    async def _scored(self, row: EvalRow, answer: Answer) -> dict[str, dict[str, Any]]:
        values = row.values | {"generated_answer": answer.text}
        return {
            name: await self._scoring.score_row(name, params, values, self._labels)
            for name, params in self._functions.items()
        }


class _Asked:
    """Counts how often the candidate was asked."""

    def __init__(self) -> None:
        self.attempts = 0


def backoff_s(attempts: int, retry_after_s: float | None) -> float:
    """Returns the pause after this many attempts: doubled each time, at random in its upper half so that rows
    are not all retried at once, and never shorter than the upstream requested."""
    pause_s = min(MAX_BACKOFF_S, BACKOFF_S * 2.0 ** (attempts - 1))
    return max(pause_s * random.uniform(0.5, 1.0), float(retry_after_s or 0))  # noqa: S311


def needs_answer(functions: Sequence[str]) -> bool:
    """Returns whether a row must contain the expected answer to be scored by these functions."""
    return any(name not in ANSWERLESS for name in functions)
