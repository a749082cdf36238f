"""Reranking (spec: `RerankRequest`, `RerankResponse`): items sorted by their relevance to a query."""

from __future__ import annotations

from msgspec import Struct


class OpenAIImageURL(Struct, frozen=True, forbid_unknown_fields=True):
    """Image URL specification for OpenAI-compatible chat completion messages."""

    url: str
    detail: str | None = None


class OpenAIChatCompletionContentPartTextParam(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"
):
    """Text content part for OpenAI-compatible chat completion messages."""

    text: str


class OpenAIChatCompletionContentPartImageParam(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="image_url"
):
    """Image content part for OpenAI-compatible chat completion messages."""

    image_url: OpenAIImageURL


RerankInput = str | OpenAIChatCompletionContentPartTextParam | OpenAIChatCompletionContentPartImageParam


class RerankRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_num_results` is at least 1; all items are returned if it is absent."""

    model: str
    query: RerankInput
    items: list[RerankInput]
    max_num_results: int | None = None


class RerankData(Struct, frozen=True):
    """A single rerank result from a reranking response. `index` is the item's place in the request, from 0."""

    index: int
    relevance_score: float


class RerankResponse(Struct, frozen=True):
    """Response from a reranking request, sorted by descending score; items with equal scores keep their order."""

    data: list[RerankData]
