"""The types of retrieval: documents in which passages are looked for, and the passages that were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct


class Text(Struct, frozen=True):
    """A document's text. `id` identifies it within one request or collection."""

    id: str
    text: str


class Passage(Struct, frozen=True, kw_only=True):
    """A part of a document: `text` is `start` to `end` of the document, in characters. A higher `score` is a better match;
    0 if the query has no word of it. `collection` is "" for a document of the request."""

    document_id: str
    start: int
    end: int
    score: float
    text: str
    collection: str = ""


class Ranking(Protocol):
    async def best_of(self, query: str, documents: Sequence[Text], max_tokens: int) -> list[Passage]:
        """Returns the passages of the documents that match the query best, of at most `max_tokens` together, in the
        order of the documents. If none matches, the beginnings of the documents. Raises Unavailable."""
        ...


class CollectionSearch(Protocol):
    def ids(self) -> list[str]:
        """Returns the ids of all collections."""
        ...

    async def search(self, query: str, collection_ids: Sequence[str]) -> list[Passage]:
        """Returns the passages of these collections that match best, best first. Raises NotFound; Unavailable."""
        ...


class Embedder(Protocol):
    async def embed(self, model: str, texts: Sequence[str]) -> bytes:
        """Returns the vectors of the texts, in their order, as float32 of the same dimension. Raises Invalid,
        TooManyRequests, Unavailable, UpstreamFailed, UpstreamTimeout."""
        ...


FileKind = Literal["pdf", "html"]


class Extraction(Protocol):
    async def text_of(self, kind: FileKind, content: bytes, max_characters: int) -> str:
        """Returns the readable text of a PDF, or of HTML in UTF-8. Raises Invalid for content without text, and for
        content that cannot be read within the limits; Unavailable; InternalError."""
        ...
