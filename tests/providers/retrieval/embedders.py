"""Embedders for tests of retrieval."""

from __future__ import annotations

from array import array
from collections.abc import Sequence


class NoEmbeddings:
    """For collections without an embedding model."""

    async def embed(self, model: str, texts: Sequence[str]) -> bytes:
        raise AssertionError("nothing is to be embedded")


class Concepts:
    """Counts the words of each concept: a model that knows synonyms. `asked` counts the texts that were embedded."""

    CONCEPTS = (("harbour", "port", "haven"), ("ferry", "ship", "boat"), ("bread", "loaf", "bakery"))

    def __init__(self) -> None:
        self.asked = 0

    async def embed(self, model: str, texts: Sequence[str]) -> bytes:
        self.asked += len(texts)
        vectors = array("f")
        for text in texts:
            words = text.lower().split()
            vectors.extend(0.01 + sum(word in concept for word in words) for concept in self.CONCEPTS)
        return vectors.tobytes()
