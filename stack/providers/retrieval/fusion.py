"""Joins a ranking by words and a ranking by embeddings."""

from __future__ import annotations

from collections.abc import Sequence

WORDS_WEIGHT = 0.5
SMOOTHING = 60
"""The usual constant of reciprocal rank fusion: how little the first ranks differ."""


def fused(
    by_words: Sequence[int], by_vectors: Sequence[int], words_weight: float = WORDS_WEIGHT
) -> list[tuple[int, float]]:
    """Returns all items of both rankings with their scores, best first: weighted sums of reciprocal ranks (0 to 1 /
    61)."""
    scores: dict[int, float] = {}
    for ranking, weight in ((by_words, words_weight), (by_vectors, 1 - words_weight)):
        for rank, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + weight / (SMOOTHING + rank)
    return sorted(scores.items(), key=lambda one: (-one[1], one[0]))
