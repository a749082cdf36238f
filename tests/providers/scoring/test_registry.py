"""All nine functions, as they are known by name."""

from __future__ import annotations

import sys

import pytest

from schemas.api.scoring_function import RegexParserScoringFnParams
from stack.errors import Invalid
from stack.providers import patterns
from stack.providers.scoring.aggregation import KNOWN
from stack.providers.scoring.registry import definition, definitions, unavailable, usable

NAMES = [
    "basic::equality",
    "basic::subset_of",
    "basic::regex_parser_multiple_choice_answer",
    "basic::regex_parser_math_response",
    "basic::docvqa",
    "basic::ifeval",
    "basic::bfcl",
    "llm-as-judge::base",
    "llm-as-judge::405b-simpleqa",
]


def test_there_are_these_functions() -> None:
    assert list(definitions()) == NAMES
    assert {one.provider_id for one in definitions().values()} == {"basic", "llm-as-judge"}


@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_complete(name: str) -> None:
    function = definition(name)
    assert function.description.endswith(".")
    assert set(function.params.aggregation_functions) <= set(KNOWN) and function.params.aggregation_functions
    if isinstance(function.params, RegexParserScoringFnParams):
        patterns.check(function.params.parsing_regexes, name)


def test_an_unknown_name_is_told_the_nearest_and_all() -> None:
    with pytest.raises(Invalid) as raised:
        definition("basic::equalty")
    assert "Nearest: 'basic::equality'" in raised.value.detail
    assert all(name in raised.value.detail for name in NAMES)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("math_verify", "basic::regex_parser_math_response"),
        ("rapidfuzz", "basic::docvqa"),
        ("langdetect", "basic::ifeval"),
        ("tree_sitter_java", "basic::bfcl"),
    ],
)
def test_a_function_whose_library_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    unavailable.cache_clear()
    try:
        with pytest.raises(Invalid, match=rf"{name}' needs {library}.*pip install 'replaystack\[scoring\]'"):
            usable(name)
        assert definition(name).id == name
        assert [one for one in NAMES if unavailable(one)] == [name]
    finally:
        unavailable.cache_clear()


def test_all_functions_are_usable_in_a_checkout() -> None:
    assert [usable(name).id for name in NAMES] == NAMES
