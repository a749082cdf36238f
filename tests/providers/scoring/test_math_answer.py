"""Answers of mathematics: the same value, however written."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.api.scoring_function import RegexParserScoringFnParams
from stack.providers.scoring.math_answer import last_boxed
from tests.providers.scoring.rows import error, score

NAME = "basic::regex_parser_math_response"

pytestmark = pytest.mark.filterwarnings("ignore")  # of sympy, about strange expressions


@pytest.mark.parametrize(
    ("expected", "generated", "same"),
    [
        (r"\frac{1}{2}", r"The final answer is: $\boxed{0.5}$. I hope it is correct.", 1),
        (r"So $r = 3$ and thus $\boxed{\left( 3, \frac{\pi}{2} \right)}.$", r"\boxed{(3,\pi/2)}", 1),
        ("42", "So we get 42", 1),
        ("42", "So it is 42 and then 43", 0),
        (42, "42.0", 1),
        ("1,000", "1000", 1),
        ("x=5", "5", 1),
        (r"\{1,2\}", r"\{2,1\}", 1),
        ("1/2", r"\dfrac12", 1),
        (r"10\%", "0.1", 1),
        (r"3\sqrt{2}", r"$\sqrt{18}$", 1),
        ("2x+1", "1+2x", 1),
        ("2x+1", "2x+2", 0),
        (r"\text{Evelyn}", "Evelyn", 1),
        ("listen", r"\boxed{silent}", 0),
        (r"\text{listen}", r"\boxed{\text{silent}}", 0),
        ("5", r"\boxed{5 \text{ cm}}", 1),
        ("(A)", r"\boxed{A}", 1),
        ("7", "", 0),
        ("", "", 1),
        ("7", "\\boxed{" * 300 + "7" + "}" * 300, 1),
        (r"\left\{1", "}{", 0),
    ],
)
def test_value_counts_and_not_form(expected: Any, generated: str, same: int) -> None:
    assert score(NAME, expected, generated) == same


def test_own_patterns_say_where_the_answer_is() -> None:
    params = RegexParserScoringFnParams(parsing_regexes=[r"=> (.*)"], aggregation_functions=[])
    assert score(NAME, "2", "=> 4/2\nbecause of 7", params) == 1


def test_the_last_box_counts() -> None:
    assert last_boxed(r"\boxed{1} and \boxed{\frac{a}{b}}") == r"\frac{a}{b}"
    assert last_boxed(r"$\boxed 7$ apples") == "7"
    assert last_boxed(r"\boxed{1") is None
    assert last_boxed("no box") is None


def test_what_is_no_answer_is_the_rows_fault() -> None:
    assert "must be text or a number" in error(NAME, {"expected_answer": True, "generated_answer": "1"})
    assert "must be text" in error(NAME, {"expected_answer": "1", "generated_answer": 1})
    assert "at most 200,000" in error(NAME, {"expected_answer": "1", "generated_answer": "1" * 200_001})
