"""The embedded reranker: compares words, needs no server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from schemas.api.model import Model
from stack.providers.rerank.port import Scores
from stack.providers.retrieval.bm25 import scores_of

SMALL_CHARACTERS = 4_096
"""Up to this total length, texts are scored directly, which takes less than a millisecond."""
MAX_RUNNING = 2
"""Larger requests are scored in this many threads at most; others wait."""


class BM25:
    """The reranker `bm25`. Words are stemmed as English ones."""

    id = "bm25"
    base_url = ""

    def __init__(self) -> None:
        self._running = asyncio.Semaphore(MAX_RUNNING)

    def model(self) -> Model:
        return Model(
            identifier=self.id,
            provider_id=self.id,
            provider_resource_id=self.id,
            model_type="rerank",
            api_model_type="rerank",
            id=self.id,
            owned_by="replaystack",
            metadata={"description": "Built in: compares stemmed words (BM25)."},
        )

    async def score(
        self, model: str, query: str, texts: Sequence[str], *, headers: Mapping[str, str]
    ) -> Scores:
        is_large = sum(map(len, texts)) + len(query) > SMALL_CHARACTERS
        if not is_large:
            return Scores(scores_of(query, texts))
        async with self._running:
            return Scores(await asyncio.to_thread(scores_of, query, texts))

    async def aclose(self) -> None:
        """Has no effect: there are no resources to release."""
