"""Rows of IFEval: instructions, their arguments, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.scoring.rows import score_row

NAME = "basic::ifeval"


def row(answer: Any, ids: Any, kwargs: Any = None) -> dict[str, Any]:
    return {"generated_answer": answer, "instruction_id_list": ids, "kwargs": kwargs}


def test_the_part_that_is_followed_is_the_score() -> None:
    ids = ["punctuation:no_comma", "keywords:existence", "detectable_format:title"]
    kwargs = [{}, {"keywords": ["dog"], "num_words": None}, None]
    assert score_row(NAME, row("A dog", ids, kwargs)) == {"score": pytest.approx(2 / 3), "weight": 3.0}
    assert score_row(NAME, row("<<A dog>>", ids, kwargs)) == {"score": 1.0, "weight": 3.0}


def test_an_empty_answer_follows_nothing() -> None:
    assert score_row(NAME, row("  \n", ["punctuation:no_comma"])) == {"score": 0.0, "weight": 1.0}


def test_no_instructions_weigh_nothing() -> None:
    assert score_row(NAME, row("x", [], [])) == {"score": 0.0, "weight": 0.0}


@pytest.mark.parametrize(
    ("given", "problem", "weight"),
    [
        ({"generated_answer": "x"}, "no 'instruction_id_list'", None),
        (row("x", "punctuation:no_comma"), "is text; it must be a list", None),
        (row("x", ["punctuation:no_coma"]), "Nearest: 'punctuation:no_comma'", 1.0),
        (row("x", ["punctuation:no_comma"], []), "as many objects", 1.0),
        (row("x", ["punctuation:no_comma"], ["x"]), "'kwargs' holds text", 1.0),
        (row(5, ["punctuation:no_comma"]), "'generated_answer' is a number", 1.0),
        (
            row("x", ["length_constraints:number_words"], [{"relation": "at least"}]),
            "needs 'num_words', a number; in 'kwargs' it is missing",
            1.0,
        ),
        (
            row("x", ["length_constraints:number_words"], [{"num_words": True, "relation": "at least"}]),
            "it is a boolean",
            1.0,
        ),
        (
            row("x", ["length_constraints:number_words"], [{"num_words": 2, "relation": "exactly"}]),
            "'less than' or 'at least'",
            1.0,
        ),
        (row("x", ["keywords:existence"], [{"keywords": []}]), "at least one text", 1.0),
        (
            row("x", ["keywords:frequency"], [{"keyword": " ", "frequency": 1, "relation": "at least"}]),
            "'keyword' is empty",
            1.0,
        ),
        (row("x", ["punctuation:no_comma"] * 101), "at most 100", None),
    ],
)
def test_what_is_wrong_is_said_and_the_weight_kept(
    given: dict[str, Any], problem: str, weight: float | None
) -> None:
    failed = score_row(NAME, given)
    assert failed["score"] == 0 and problem in failed["error"]
    assert failed.get("weight") == weight
