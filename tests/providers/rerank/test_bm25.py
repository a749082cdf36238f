"""The embedded reranker."""

from __future__ import annotations

import pytest

from stack.providers.rerank.bm25 import BM25
from stack.providers.retrieval.bm25 import scores_of
from stack.providers.retrieval.words import PART_CHARACTERS, query_terms, terms_of


def best(query: str, texts: list[str]) -> int:
    scores = scores_of(query, texts)
    return max(range(len(texts)), key=scores.__getitem__)


TEXTS = [
    "The harbour opens at ten and closes at six.",
    "Bakers are baking bread before sunrise.",
    "The library lends books for three weeks.",
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("When does the harbour open?", 0),
        ("who bakes", 1),
        ("LENDING A BOOK", 2),
        ("three-week loans", 2),
    ],
)
def test_the_text_with_the_words_of_the_query_scores_best(query: str, expected: int) -> None:
    assert best(query, TEXTS) == expected


def test_a_rare_word_counts_more_than_a_frequent_one() -> None:
    assert best("harbour opens", ["opens opens", "harbour", "opens", "opens wide", "it opens"]) == 1


def test_a_query_of_stop_words_only_is_compared_by_them() -> None:
    assert query_terms("To be, or not to be") == ["to", "be", "or", "not"]
    assert best("to be or not to be", ["Nothing else.", "To be or not to be."]) == 1


def test_texts_without_common_words_score_0() -> None:
    assert scores_of("zebra", [*TEXTS, "", " \n", "!?"]) == [0.0] * 6
    assert scores_of("?!", TEXTS) == [0.0] * 3


def test_words_of_other_scripts() -> None:
    texts = ["東京の天気は晴れです", "Der Fluß fließt", "Погода в Москве", "ﬁnal \uff21\uff22"]
    assert best("東京", texts) == 0
    assert best("FLUß", texts) == 1
    assert best("москве", texts) == 2
    assert best("final AB", texts) == 3


def test_long_texts_are_split_at_spaces() -> None:
    words = [f"word{number}" for number in range(PART_CHARACTERS // 2)]
    assert terms_of(" ".join(words)) == words
    assert sum(map(len, terms_of("x" * (3 * PART_CHARACTERS)))) == 3 * PART_CHARACTERS


@pytest.mark.anyio
async def test_large_requests_are_scored_as_small_ones() -> None:
    reranker = BM25()
    small = await reranker.score("", "harbour", TEXTS, headers={})
    large = await reranker.score("", "harbour", [*TEXTS, "padding " * 2000], headers={})
    assert small.values[0] > 0 and small.values[1:] == [0.0, 0.0]
    assert large.values[0] > 0 and large.values[1:] == [0.0, 0.0, 0.0]
