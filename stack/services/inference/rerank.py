"""Reranking: requests are checked and bounded, and each call of a reranker is traced."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.api.rerank import (
    OpenAIChatCompletionContentPartTextParam,
    RerankData,
    RerankInput,
    RerankRequest,
    RerankResponse,
)
from stack.errors import Invalid, TooLarge, Unavailable
from stack.providers.rerank.registry import Rerankers
from telemetry.own import conventions as names
from telemetry.own.model_call import ModelCalls
from telemetry.own.tracing import upstream_headers

MAX_ITEMS = 10_000
MAX_CHARACTERS = 4 * 2**20
"""Maximum length of the query and all items together: BM25 takes about a second for it."""


class Reranking:
    """Runs at most `limit` requests at a time."""

    def __init__(self, rerankers: Rerankers, calls: ModelCalls, limit: int) -> None:
        self.rerankers = rerankers
        self._calls = calls
        self._limit = limit
        self._running = 0

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """Raises Invalid; TooLarge; Unavailable, and the errors of a reranker."""
        reranker, model = self.rerankers.resolve(request.model)
        query, texts = _checked(request)
        if not texts:
            return RerankResponse([])
        if self._running >= self._limit:
            raise Unavailable(f"{self._running} rerank requests are under way; try again.", retry_after=1)
        self._running += 1
        try:
            with self._calls.begin(
                reranker.id, model or reranker.id, reranker.base_url, {}, operation=names.RERANK
            ) as call:
                scores = await reranker.score(model, query, texts, headers=upstream_headers())
                call.answered((), input_tokens=scores.input_tokens)
        finally:
            self._running -= 1
        ranked = sorted(range(len(texts)), key=lambda index: -scores.values[index])
        return RerankResponse(
            [RerankData(index, scores.values[index]) for index in ranked[: request.max_num_results]]
        )


def _checked(request: RerankRequest) -> tuple[str, Sequence[str]]:
    """Returns the query and the items as texts."""
    if request.max_num_results is not None and request.max_num_results < 1:
        raise Invalid(
            f"max_num_results is {request.max_num_results}; it must be 1 or more. Leave it out to get all."
        )
    if len(request.items) > MAX_ITEMS:
        raise TooLarge(f"items: there are {len(request.items)}; at most {MAX_ITEMS} can be reranked at once.")
    query = _text("query", request.query, request.model)
    if not query.strip():
        raise Invalid("query is empty; say what the items are compared with.")
    texts = [_text(f"items[{number}]", item, request.model) for number, item in enumerate(request.items)]
    size = len(query) + sum(map(len, texts))
    if size > MAX_CHARACTERS:
        raise TooLarge(
            f"The query and the items have {size} characters; at most {MAX_CHARACTERS} can be reranked at once."
        )
    return query, texts


def _text(place: str, value: RerankInput, model: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, OpenAIChatCompletionContentPartTextParam):
        return value.text
    raise Invalid(f"{place} is an image, and {model!r} reads text only. Send text.")
