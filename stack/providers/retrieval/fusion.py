"""Joins a ranking by words and a ranking by embeddings."""

from __future__ import annotations

from collections.abc import Sequence

WORDS_WEIGHT = 0.65
"""The best on one half of 1,000 docstrings of Python's standard library, with multilingual-e5-small. On the other half the
mean reciprocal rank is 0.53, 0.50 by words only and 0.45 by embeddings only; it differs by less than 0.005 from 0.5 to 0.8.
See `benchmarks/choose_fusion_weight.py`."""
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
