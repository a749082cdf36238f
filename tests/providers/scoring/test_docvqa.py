"""Short answers about documents, in whatever form."""

from __future__ import annotations

from typing import Any

import pytest

from stack.providers.scoring.docvqa import MAX_CHARACTERS, anls, normalized
from tests.providers.scoring.rows import error, score, score_row

NAME = "basic::docvqa"


@pytest.mark.parametrize(
    ("expected", "generated", "same"),
    [
        ('["Yes, three"]', "yes 3.", 1),
        ('["the  red Dog", "cat"]', "A red dog!", 1),
        (["don't"], "dont", 1),
        ("plain text", "Plain text", 1),
        ("[no JSON", "[no json", 1),
        ("42", "forty two", 0),
        (["1,000"], "1000", 1),
        (["1st place"], "first place", 1),
        ([], "anything", 0),
        ("[]", "", 0),
        (["well-known"], "well known", 1),
        (["3.5"], "35", 0),
    ],
)
def test_form_does_not_matter_content_does(expected: Any, generated: str, same: int) -> None:
    assert score(NAME, expected, generated) == same


def test_normal_forms() -> None:
    assert normalized("In the U.S., $3.50!") == "us $3.50"
    assert normalized("None of (ten)") == "0 of 10"


def test_the_similarity_stands_beside() -> None:
    row = score_row(NAME, {"expected_answer": ["kitten"], "generated_answer": "Sitting"})
    assert row == {"score": 0.0, "anls": pytest.approx(1 - 3 / 7)}
    assert anls("abcd", ["wxyz", "abcx"]) == 0.75
    assert anls("abcd", ["abxy"]) == 0.5
    assert anls("abcd", ["axyz"]) == 0
    assert anls("", [""]) == 1


@pytest.mark.parametrize(
    ("expected", "generated", "problem"),
    [
        (7, "7", "'expected_answer' is a number"),
        ([7], "7", "'expected_answer' is a number"),
        (["a"] * 300, "a", "lists 300 answers"),
        (["a"], None, "'generated_answer' is null"),
        (["a"], "x" * (MAX_CHARACTERS + 1), "at most 20,000"),
        (["x" * (MAX_CHARACTERS + 1)], "a", "at most 20,000"),
    ],
)
def test_what_cannot_be_compared_is_the_rows_fault(expected: Any, generated: Any, problem: str) -> None:
    assert problem in error(NAME, {"expected_answer": expected, "generated_answer": generated})
