"""Reasoning is left out before a text is scored."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stack.providers.scoring.reasoning import without_reasoning
from stack.providers.scoring.registry import definitions
from tests.providers.scoring.rows import score_row


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("no tags at all ", "no tags at all "),
        ("<think>a</think> b", "b"),
        ("<think>\na\n</think>\n\n4\n", "4"),
        ("first <think>a</think> then", "first\nthen"),
        ("<think>a</think>A<think>b</think>B", "A\nB"),
        ("<think>a <think>b</think> c</think> d", "d"),
        # The reasoning mentions the tag.
        ("<think>mind the <think> tag</think> answer", "answer"),
        # Some chat templates open the block themselves.
        ("reasons</think>answer", "answer"),
        ("a</think>b</think>c", "c"),
        ("<think>a</think> 4</think>", "4"),
        # Cut off: there is no answer.
        ("<think>Answer: B", ""),
        ("<think>a</think>A<think>b", "A"),
        ("<think></think>", ""),
        ("<thinking>a</thinking>b", "b"),
        ("<reasoning effort='high'>a</reasoning>b", "b"),
        ("<Think>a</THINK>b", "b"),
        ("<thought>a</thought>b", "b"),
        ("<seed:think>a</seed:think>b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("\u25c1think\u25b7a\u25c1/think\u25b7b", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b"),
        ("<thinker>b</thinker>", "<thinker>b</thinker>"),
        ("I think </b>", "I think </b>"),
    ],
)
def test_what_is_left(said: str, left: str) -> None:
    assert without_reasoning(said) == left


CASES = [
    ("basic::equality", {"generated_answer": "<think>4? yes</think>\n\n4", "expected_answer": "4"}, 1, 0),
    ("basic::subset_of", {"generated_answer": "<think>4</think>5", "expected_answer": "4"}, 0, 1),
    (
        "basic::regex_parser_multiple_choice_answer",
        {"generated_answer": "<think>Hm</think>\nC <think>Answer: A", "expected_answer": "A"},
        0,
        1,
    ),
    (
        "basic::regex_parser_math_response",
        {"generated_answer": "<think>so \\boxed{3}?</think> The answer is 4.", "expected_answer": "4"},
        1,
        0,
    ),
    ("basic::docvqa", {"generated_answer": "<think>a</think>Paris", "expected_answer": "Paris"}, 1, 0),
    (
        "basic::ifeval",
        {
            "generated_answer": "<think>commas, here</think>no commas",
            "instruction_id_list": ["punctuation:no_comma"],
            "kwargs": [{}],
        },
        1,
        0,
    ),
    (
        "basic::bfcl",
        {
            "id": "irrelevance_1",
            "generated_answer": "<think>[f(x=1)]</think>None of them fits.",
        },
        1,
        None,
    ),
    ("llm-as-judge::base", {"judge_feedback": "<think>Score: 2?</think>Fine.\nScore: 8"}, 8, 8),
    ("llm-as-judge::405b-simpleqa", {"judge_feedback": "<think>\nA\n</think>\nB"}, "B", "B"),
]


@pytest.mark.parametrize(("name", "row", "left_out", "kept"), CASES)
def test_every_function_leaves_it_out_unless_it_is_told_to_keep_it(
    name: str, row: dict[str, object], left_out: object, kept: object
) -> None:
    assert score_row(name, row)["score"] == left_out
    if kept is not None:
        keeping = replace(definitions()[name].params, keep_reasoning=True)
        assert score_row(name, row, keeping)["score"] == kept


def test_there_is_a_case_for_every_function() -> None:
    assert {name for name, *_ in CASES} == set(definitions())


def test_a_cut_off_judge_gave_no_grade() -> None:
    assert "no grade" in score_row("llm-as-judge::base", {"judge_feedback": "<think>Score: 8"})["error"]
