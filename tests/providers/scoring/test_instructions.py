"""Each instruction of IFEval: one answer that follows and one that does not."""

from __future__ import annotations

from typing import Any

import pytest

from stack.providers.scoring.instructions import CHECKS, Arguments

ENGLISH = "this is a sentence in the english language which anybody can read without any trouble"
FRENCH = "Ceci est une phrase écrite en français que tout le monde peut lire sans aucune difficulté."

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["Dog", "a.b"]}, "The dog said A.B", "The dog said axb"),
    (
        "keywords:frequency",
        {"keyword": "ha", "frequency": 3, "relation": "at least"},
        "Ha, ha, haha",
        "ha ha",
    ),
    (
        "keywords:frequency",
        {"keyword": "ha", "frequency": 3, "relation": "less than"},
        "ha ha",
        "Ha, ha, ha",
    ),
    ("keywords:forbidden_words", {"forbidden_words": ["cat", "c++"]}, "A category", "A Cat."),
    (
        "keywords:letter_frequency",
        {"letter": "Z", "let_frequency": 2, "let_relation": "at least"},
        "zZ",
        "z",
    ),
    (
        "keywords:letter_frequency",
        {"letter": "#", "let_frequency": 1.0, "let_relation": "at least"},
        "# a",
        "a",
    ),
    ("language:response_language", {"language": "fr"}, FRENCH, ENGLISH),
    ("language:response_language", {"language": "zh"}, "今天天气很好，我们一起去公园散步吧。", ENGLISH),
    ("language:response_language", {"language": "de"}, "12345 67890", FRENCH),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "Dr. Smith came. He left.",
        "Dr. Smith came at 3.5 p.m. today",
    ),
    (
        "length_constraints:number_words",
        {"num_words": 4, "relation": "less than"},
        "one two-three",
        "one two three four",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***", "a *** *** b"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        "First.\n\nThen, more.",
        "First.\n\nThere, more.",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] and [b c]", "[a] and [\nb]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP. S. more", "Bye. PS more"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye. P.P.S more", "Bye. P.S. more"),
    ("detectable_content:postscript", {"postscript_marker": "N.B."}, "Bye. n.b. more", "Bye. nxbx more"),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 3},
        "* a\n  * b\n- c\n**bold**",
        "* a\n* b\n* c\n* d",
    ),
    ("detectable_format:constrained_response", {}, "Well. My answer is no.", "My answer is never."),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        "*a* and *b*",
        "*a* and * * and **",
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\na\nSection 2\nb",
        "Section 1\na\nSection two",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', '{"a": [1]'),
    ("detectable_format:title", {}, "<<A title>>\ntext", "<<  >> text"),
    ("combination:two_responses", {}, "a\n******\nb", "a\n******\na"),
    ("combination:two_responses", {}, "a ****** b", "a ****** ****** b"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi."}, "say hi. Hi", "Hi! say hi."),
    ("startend:end_checker", {"end_phrase": "That is all."}, 'Yes. "That is ALL."', "That is all. Bye"),
    ("startend:quotation", {}, f'"{ENGLISH}"', f'"{ENGLISH}'),
    ("startend:quotation", {}, "«Это предложение написано на русском языке.»", "«a"),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "A WELL-KNOWN dog",
        "A dog",
    ),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_lowercase", {}, ENGLISH, FRENCH.lower()),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
]


@pytest.mark.parametrize(("id", "given", "follows", "fails"), CASES)
def test_an_answer_follows_or_does_not(id: str, given: dict[str, Any], follows: str, fails: str) -> None:
    arguments = Arguments(id, given)
    assert CHECKS[id](follows, arguments) is True
    assert CHECKS[id](fails, arguments) is False


def test_every_instruction_of_the_data_set_is_here_and_tried() -> None:
    assert len(CHECKS) == 25
    assert {case[0] for case in CASES} == set(CHECKS)


@pytest.mark.parametrize("id", sorted(CHECKS))
def test_strange_answers_end_nothing(id: str) -> None:
    given = next(case[1] for case in CASES if case[0] == id)
    for answer in ("*" * 5000, "\x00", "<<" * 2000, "[" * 5000, "\n\n" * 2000 + "x", "🦜" * 300, "‮abc", '"'):
        assert CHECKS[id](answer, Arguments(id, given)) in (True, False)
