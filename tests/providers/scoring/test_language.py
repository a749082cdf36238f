"""Sentences, words and languages."""

from __future__ import annotations

import pytest

from stack.providers.scoring.language import (
    capital_words,
    count_sentences,
    count_words,
    detect,
    language_of_lines,
    sentences,
)
from stack.providers.scoring.port import RowFault


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One sentence without an end", 1),
        ("One. Two! Three? Four", 4),
        ("Mr. and Mrs. Smith, e.g. the J. Smiths of St. Ives, paid $3.50.", 1),
        ('He said "Go." She went.', 2),
        ("Wait... what? Yes!!! No?!", 3),
        ("1. Buy bread. 2. Go home.", 2),
        ("It was 3.5 m. It was long.", 2),
        ("A line\nthat goes on\n\nand on", 1),
        ("It ends (here.) Then it goes on.", 2),
        ("So did I. You too.", 2),
    ],
)
def test_sentences_end_where_a_reader_says_so(text: str, count: int) -> None:
    assert len(sentences(text)) == count


def test_sentences_of_other_scripts() -> None:
    assert count_sentences("今天天气很好。我们去公园吧！你来吗？") == 3
    assert count_sentences("यह एक वाक्य है। यह दूसरा वाक्य है।") == 2
    assert count_sentences("วันนี้อากาศดีมาก พวกเราไปสวนสาธารณะกันเถอะ") == 2


def test_words() -> None:
    assert count_words("Two-part words, and don't forget 3.5") == 9
    assert count_words("今天天气很好，我们一起去公园散步吧。OK then") == 18
    with pytest.raises(RowFault, match="Thai"):
        count_words("วันนี้อากาศดีมาก พวกเราไปสวนสาธารณะกันเถอะ")


def test_languages_are_told_the_same_each_time() -> None:
    text = "Dies ist ein Satz in deutscher Sprache, den jeder lesen kann."
    assert {detect(text) for _ in range(5)} == {"de"}
    assert detect("123") == ""
    assert language_of_lines(f"OK\n{text}\n{text}\nThis line here is in plain English, of course.") == "de"
    assert language_of_lines("") == "en"


def test_words_in_capitals() -> None:
    assert capital_words("NATO and the U.S. have A WELL-KNOWN Plan") == 4
