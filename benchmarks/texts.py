"""Synthetic English-like texts whose words occur as often as in natural language (Zipf's law)."""

from __future__ import annotations

import random
from itertools import accumulate

_SYLLABLES = [
    first + vowel + last for first in "bdfgklmnprst" for vowel in "aeiou" for last in ("", "n", "r", "st")
]
_ENDINGS = ("", "", "", "s", "ed", "ing", "ation", "er")
WORDS_COUNT = 20_000


class Texts:
    """Texts of `seed`: the same seed gives the same texts."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        words: dict[str, None] = {}
        while len(words) < WORDS_COUNT:
            syllables = self._random.choices(_SYLLABLES, k=self._random.randint(1, 3))
            words["".join(syllables) + self._random.choice(_ENDINGS)] = None
        self.words = list(words)
        self._frequent = frozenset(self.words[:100])
        self._weights = list(accumulate(1 / rank for rank in range(1, WORDS_COUNT + 1)))

    def text(self, words: int) -> str:
        chosen = self._random.choices(self.words, cum_weights=self._weights, k=words)
        sentences = [" ".join(chosen[start : start + 12]).capitalize() for start in range(0, words, 12)]
        return ". ".join(sentences) + "."

    def query(self, text: str, words: int = 6) -> str:
        """Returns some words of a text, without those that nearly all texts have."""
        rare = sorted(set(text.replace(".", "").lower().split()) - self._frequent)
        return " ".join(self._random.sample(rare, words))
