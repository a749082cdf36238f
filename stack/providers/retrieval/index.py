"""A BM25 index of chunks. Used in a worker process only: it imports numpy."""

from __future__ import annotations

from typing import Any

from stack.providers.retrieval.bm25 import K1, B
from stack.providers.retrieval.words import query_terms, split_words, stems


class WordIndex:
    """Add all chunks, then call `finish`. Takes 0.25 ms for a chunk of 256 tokens."""

    def __init__(self) -> None:
        self._terms: dict[str, int] = {}
        self._words: dict[str, int] = {}
        self._chunks: list[list[int]] = []
        self._bm25: Any = None

    def add(self, text: str) -> None:
        found: list[int] = []
        for words in split_words(text):
            new = list(set(words).difference(self._words))
            for word, stem in zip(new, stems(new), strict=True):
                self._words[word] = self._terms.setdefault(stem, len(self._terms))
            found += map(self._words.__getitem__, words)
        self._chunks.append(found)

    def finish(self) -> None:
        if self._terms:
            from bm25s import BM25  # type: ignore[import-untyped]
            from bm25s.tokenization import Tokenized  # type: ignore[import-untyped]

            self._bm25 = BM25(k1=K1, b=B)
            self._bm25.index(Tokenized(self._chunks, self._terms), show_progress=False)
        self._words = {}
        self._chunks = []

    def best(self, query: str, count: int) -> list[tuple[int, float]]:
        """Returns up to `count` chunks that have a word of the query, with their scores, best first."""
        import numpy as np

        known = [term for term in query_terms(query) if term in self._terms]
        if not known or self._bm25 is None:
            return []
        scores = self._bm25.get_scores(known)
        top = np.argpartition(-scores, count)[:count] if count < len(scores) else np.arange(len(scores))
        # Equal ones in the order of the documents.
        ranked = sorted(((int(at), float(scores[at])) for at in top), key=lambda one: (-one[1], one[0]))
        return [(at, score) for at, score in ranked if score > 0]
