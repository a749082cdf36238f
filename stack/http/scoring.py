"""Scoring over HTTP (not part of the Llama Stack specification): of rows in the request, and of a dataset."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from msgspec import Raw

from schemas.api.scoring import ScoreBatchRequest, ScoreBatchResponse, ScoreRequest, ScoringResult
from stack.http.answer import json_answer
from stack.http.body import caller_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.leaving import until_disconnected
from stack.http.rows_body import read_rows
from stack.http.services import Services
from stack.services.requests.once import Prior

ENCODED_AT_ONCE = 5_000
"""Number of score rows that are encoded at once, which takes 2 ms."""

_encode = msgspec.json.Encoder().encode


class ScoringController(Controller):
    @serves("score")
    async def score(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, blocks, _ = await read_rows(request, services, ScoreRequest, ("input_rows",))
        if _asks_models(data.scoring_functions):
            services.rates.require_tokens()
        scoring = services.row_scoring.score(blocks, data.scoring_functions)
        results = await until_disconnected(scoring, request.receive)
        return json_answer({"results": await _encoded(results)})

    @serves("score_batch")
    async def score_batch(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, body = await read_json(request, ScoreBatchRequest)
        if not data.save_results_dataset:
            if _asks_models(data.scoring_functions):
                services.rates.require_tokens()
            scoring = services.row_scoring.score_batch(data, caller_of(request), "")
            return await _batch(await until_disconnected(scoring, request.receive))
        score = partial(services.row_scoring.score_batch, data, caller_of(request))
        limited = services.rates.for_models(score) if _asks_models(data.scoring_functions) else score
        made = await until_disconnected(
            services.once.perform(post_of(request, body), limited), request.receive
        )
        if isinstance(made, Prior):
            made = await services.row_scoring.saved(made.ids["dataset"], data.scoring_functions)
        return await _batch(made)


def _asks_models(scoring_functions: Mapping[str, Any]) -> bool:
    return any(name.startswith("llm-as-judge::") for name in scoring_functions)


async def _batch(answer: ScoreBatchResponse) -> ASGIResponse:
    saved = {"dataset_id": answer.dataset_id} if answer.dataset_id else {}
    return json_answer({"results": await _encoded(answer.results), **saved})


async def _encoded(results: Mapping[str, ScoringResult]) -> dict[str, Raw]:
    """Returns the results as JSON, encoded in parts, so that other requests are served in between."""
    encoded = {}
    for name, result in results.items():
        pieces = []
        for start in range(0, len(result.score_rows), ENCODED_AT_ONCE):
            pieces.append(_encode(result.score_rows[start : start + ENCODED_AT_ONCE])[1:-1])
            await asyncio.sleep(0)
        aggregated = _encode(result.aggregated_results)
        encoded[name] = Raw(b'{"score_rows":[%b],"aggregated_results":%b}' % (b",".join(pieces), aggregated))
    return encoded
