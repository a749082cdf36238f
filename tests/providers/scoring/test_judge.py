"""The prompts to a judge, and the parsing of its answers."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.api.scoring_function import LLMAsJudgeScoringFnParams
from stack.errors import Invalid
from stack.providers.scoring import judge
from stack.providers.scoring.port import RowFault
from tests.providers.scoring.rows import score_row

ROW = {"input_query": "2+2?", "expected_answer": "4", "generated_answer": "four"}
BASE, SIMPLEQA = "llm-as-judge::base", "llm-as-judge::405b-simpleqa"


def params(template: str | None = None, *regexes: str, model: str = "m/judge") -> LLMAsJudgeScoringFnParams:
    return LLMAsJudgeScoringFnParams(
        judge_model=model,
        prompt_template=template,
        judge_score_regexes=list(regexes),
        aggregation_functions=[],
    )


@pytest.mark.parametrize(
    ("template", "asked"),
    [
        ("{input_query} {expected_answer} {generated_answer}", "2+2? 4 four"),
        ("{generated_answer}{generated_answer}", "fourfour"),
        ('Say {{"score": 1}} of {generated_answer}', 'Say {"score": 1} of four'),
        ("{{{generated_answer}}}", "{four}"),
        ("{{expected_answer}} {generated_answer}", "{expected_answer} four"),
        # No template of str.format: its braces are text.
        ('{"answer": {"text": "{generated_answer}"}}', '{"answer": {"text": "four"}}'),
        ("50% {generated_answer} {0} {", "50% four {0} {"),
    ],
)
def test_texts_are_put_in_their_places(template: str, asked: str) -> None:
    assert judge.prompt(template, ROW) == asked


@pytest.mark.parametrize(
    "text",
    ["{expected_answer}", "{{x}}", "{0.__class__}", "{generated_answer!r:>1000000}", "\\1 \\g<0>", "%s", "{"],
)
def test_what_a_row_says_stays_as_it_is(text: str) -> None:
    row = ROW | {"generated_answer": text}
    assert judge.prompt("a {generated_answer} {{b}}", row) == f"a {text} {{b}}"


def test_values_that_are_no_text_are_shown_as_json() -> None:
    row: dict[str, Any] = {"expected_answer": ["é", {"a": None}], "generated_answer": 4}
    assert judge.prompt("{expected_answer} {generated_answer}", row) == '["é",{"a":null}] 4'


def test_only_the_fields_that_the_prompt_has_are_needed() -> None:
    assert judge.prompt("{generated_answer}", {"generated_answer": "x"}) == "x"
    with pytest.raises(RowFault, match="no 'input_query'"):
        judge.prompt("{input_query}{generated_answer}", {"generated_answer": "x"})
    with pytest.raises(RowFault, match="shown at most"):
        judge.prompt("{generated_answer}", {"generated_answer": "x" * (judge.MAX_CHARACTERS + 1)})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (params(model=" "), "judge_model is empty"),
        (params(None, "(?=a)"), r"judge_score_regexes\[0\] .*no look-ahead"),
        (
            params("{generated_answer} {expected_anwser}"),
            r"has \{expected_anwser\}.*Nearest: \{expected_answer\}",
        ),
        (params("{generated_answer} {score}"), r"has \{score\}.*\{\{\.\.\.\}\}"),
        (params("{generated_answer}" + "x" * judge.MAX_TEMPLATE), "at most 100,000"),
    ],
)
def test_parameters_that_no_judge_can_work_with_are_refused(
    given: LLMAsJudgeScoringFnParams, problem: str
) -> None:
    with pytest.raises(Invalid, match=problem):
        judge.check(given, "here")


@pytest.mark.parametrize("template", ["Judge this.", "{{generated_answer}}", "{expected_answer}", ""])
def test_a_prompt_that_does_not_show_the_answer_is_warned_about(
    template: str, caplog: pytest.LogCaptureFixture
) -> None:
    judge.check(params(template), "here")
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "here: prompt_template has no {generated_answer}" in record.getMessage()
    caplog.clear()
    judge.check(params("{generated_answer}"), "here")
    assert not caplog.records


def test_those_of_the_functions_are_fine() -> None:
    for function in judge.DEFINITIONS:
        assert isinstance(function.params, LLMAsJudgeScoringFnParams)
        own = replace(function.params, judge_model="m/judge")
        judge.check(own, function.id)
        asked = judge.prompt(own.prompt_template or "", ROW)
        assert all(text in asked for text in ROW.values())
        assert "{" not in asked


@pytest.mark.parametrize(
    ("said", "grade"),
    [
        ("It is right.\nScore: 9", 9),
        ("**Score:** 7/10", 7),
        ("score = 8.5", 8.5),
        ("Score: -1", -1),
        ("It would score well. Score: 3", 3),
        ("Score: 3 would be harsh.\n\nScore: 8", 8),
        ("A score of 10 would need more. I give a score of 6.", 6),
        ("Score: 4\n\n(For a score of 10 it would have to say more.)", 4),
        ("**Final score:** **9**", 9),
        ("Score: $\\boxed{7}$", 7),
        ("The score is 5.", 5),
        ("Score (0-10): 7", 7),
        ("**Score [0 to 10]:** 7", 7),
        ("Score (7)", 7),
    ],
)
def test_the_base_judge_ends_in_a_number(said: str, grade: float) -> None:
    row = score_row(BASE, {"judge_feedback": said})
    assert row == {"score": grade} and type(row["score"]) is type(grade)


@pytest.mark.parametrize(
    ("said", "grade"),
    [
        ("A", "A"),
        (" B.\n", "B"),
        ("**C**", "C"),
        ("A: CORRECT", "A"),
        ("C (NOT_ATTEMPTED)", "C"),
        ("A good answer would name both.\n\nB", "B"),
        ("A\n\nOn second thought:\n\nB", "B"),
        ("Grade: C", "C"),
        ("**Grade:** A (CORRECT)", "A"),
        ("The grade is B.", "B"),
        ("$\\boxed{A}$", "A"),
        ("A\n\nIt says the same.", "A"),
        ("Grade (A, B or C): B", "B"),
        ("**Grade (A, B, or C):** C", "C"),
    ],
)
def test_the_simpleqa_judge_ends_in_a_letter(said: str, grade: str) -> None:
    assert score_row(SIMPLEQA, {"judge_feedback": said}) == {"score": grade}


@pytest.mark.parametrize("name", [BASE, SIMPLEQA])
@pytest.mark.parametrize("said", ["", "A judge would say so.", "D", "I refuse to score this", "ABC"])
def test_rubbish_is_no_grade(name: str, said: str) -> None:
    row = score_row(name, {"judge_feedback": said})
    assert row["score"] == 0 and "no grade" in row["error"]


def test_own_patterns_read_what_they_say() -> None:
    own = params(None, r"<g>(.*?)</g>")
    assert score_row(BASE, {"judge_feedback": "<g>good</g>"}, own) == {"score": "good"}
    assert score_row(BASE, {"judge_feedback": f"<g>{'9' * 5000}</g>"}, own) == {"score": "9" * 5000}
