"""The protocol of a reranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from schemas.api.model import Model


class Scores(Struct, frozen=True):
    """The scores of all texts, in their order; a higher score is a better match. `input_tokens` is None if unknown."""

    values: list[float]
    input_tokens: int | None = None


class Reranker(Protocol):
    """`id` is unique among rerankers; `base_url` is without secrets, and empty for an embedded one."""

    id: str
    base_url: str

    def model(self) -> Model:
        """Returns its model, as `GET /v1/models` lists it."""
        ...

    async def score(
        self, model: str, query: str, texts: Sequence[str], *, headers: Mapping[str, str]
    ) -> Scores:
        """Scores the texts, of which there is at least one, by their relevance to `query`. `model` is the provider's
        own name of it; `headers` (traceparent) are sent upstream. Raises Invalid, TooManyRequests, Unavailable,
        UpstreamFailed, UpstreamTimeout."""
        ...

    async def aclose(self) -> None: ...
