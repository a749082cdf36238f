"""The letter that an answer chooses."""

from __future__ import annotations

import pytest

from schemas.api.scoring_function import RegexParserScoringFnParams
from tests.providers.scoring.rows import error, score

NAME = "basic::regex_parser_multiple_choice_answer"


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("The best answer is C", "C"),
        ("So, Answer: B.", "B"),
        ("answer :\u00a0d", "d"),
        ("Answer:\u200bJ", "J"),
        ("Antwort: A, nicht B", "A"),
        ("Réponse : D", "D"),
        ("答案：C", "C"),
        ("答案\u3000: Ｂ", "Ｂ"),
        ("정답: A", "A"),
        ("الإجابة الصحيحة هي: ب", "ب"),
        ("উত্তরঃ অ", "অ"),
        ("Ìdáhùn: A", "A"),
        ("Jibu: E", "E"),
    ],
)
def test_it_is_found_in_many_languages(said: str, letter: str) -> None:
    assert score(NAME, letter, said) == 1
    assert score(NAME, "F", said) == 0


@pytest.mark.parametrize("said", ["", "Answer: none", "Answer: K", "The answer: maybe", "Answer: Because"])
def test_nothing_is_found_where_nothing_is_chosen(said: str) -> None:
    assert score(NAME, "B", said) == 0
    assert score(NAME, "", said) == 0


def test_case_and_marks_do_not_matter() -> None:
    assert score(NAME, "B", "b") == 1
    assert score(NAME, "(b)", "The answer is **B**.") == 1
    assert score(NAME, "C", "Answer: A is wrong.\nAnswer: C") == 1
    assert score(NAME, "A", "Answer: A is wrong.\nAnswer: C") == 0


def test_own_patterns_take_the_place_of_all() -> None:
    params = RegexParserScoringFnParams(parsing_regexes=[r"<(\w+)>"], aggregation_functions=[])
    assert score(NAME, "yes", "Answer: B <yes>", params) == 1
    assert score(NAME, "B", "Answer: B <yes>", params) == 0
    assert score(NAME, "B", "Answer: B <yes>") == 1


def test_a_letter_that_own_patterns_find_may_be_in_either_case() -> None:
    params = RegexParserScoringFnParams(parsing_regexes=[r"=> (\S+)"], aggregation_functions=[])
    assert score(NAME, "B", "=> (b)", params) == 1
    assert score(NAME, "B", "=> c", params) == 0


def test_an_answer_that_is_no_text_is_the_rows_fault() -> None:
    assert "must be text" in error(NAME, {"expected_answer": "A", "generated_answer": ["Answer: A"]})
    assert "no 'generated_answer'" in error(NAME, {"expected_answer": "A"})
