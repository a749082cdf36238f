"""Equality and subset, with values of all kinds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.scoring.rows import error, score, score_row

EQUALITY, SUBSET = "basic::equality", "basic::subset_of"


@pytest.mark.parametrize(
    ("expected", "generated", "same"),
    [
        ("Paris", "Paris", 1),
        ("Paris", "paris", 0),
        ("Paris", " Paris", 0),
        ("", "", 1),
        ("é", "e\u0301", 0),
        (1, 1.0, 1),
        (1, True, 0),
        (0, False, 0),
        (None, None, 1),
        (None, "", 0),
        ("1", 1, 0),
        ([1, {"a": None}], [1, {"a": None}], 1),
        ({"a": 1}, {"a": 1, "b": 2}, 0),
        (2**80, 2**80, 1),
    ],
)
def test_equality(expected: Any, generated: Any, same: int) -> None:
    assert score(EQUALITY, expected, generated) == same


@pytest.mark.parametrize(
    ("expected", "generated", "held"),
    [
        ("is", "Paris", 1),
        ("Paris", "is", 0),
        ("", "anything", 1),
        ("b", ["a", "b"], 1),
        (1, [1, 2], 1),
        ({"a": 1}, [{"a": 1}], 1),
    ],
)
def test_subset_of(expected: Any, generated: Any, held: int) -> None:
    assert score(SUBSET, expected, generated) == held


def test_a_needle_in_ten_megabytes_is_found_at_once() -> None:
    assert score(SUBSET, "b", "a" * 10_000_000 + "b") == 1
    assert score(SUBSET, "a" * 5_000_000 + "c", "a" * 10_000_000) == 0


@pytest.mark.parametrize("name", [EQUALITY, SUBSET])
def test_a_field_that_is_missing_is_named(name: str) -> None:
    assert error(name, {"generated_answer": "a"}) == "The row has no 'expected_answer'."
    assert error(name, {"expected_answer": "a"}) == "The row has no 'generated_answer'."


def test_what_holds_nothing_is_the_rows_fault() -> None:
    assert "'generated_answer' is null" in error(SUBSET, {"expected_answer": "a", "generated_answer": None})
    assert "'expected_answer' is a number" in error(SUBSET, {"expected_answer": 1, "generated_answer": "1"})


def test_a_deep_value_ends_nothing() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    other: Any = []
    for _ in range(100_000):
        other = [other]
    row = score_row(EQUALITY, {"expected_answer": deep, "generated_answer": other})
    assert row["score"] == 0 and "nested too deeply" in row["error"]
    # Taken apart from the outside: deleting it at once would recurse as deeply.
    for value in (deep, other):
        while value:
            value = value.pop()
