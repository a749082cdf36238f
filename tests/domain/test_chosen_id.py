"""Ids that callers choose."""

from __future__ import annotations

import pytest

from stack.domain.chosen_id import MAX_ID_CHARACTERS, check_chosen_id
from stack.errors import Invalid


@pytest.mark.parametrize(
    "given", ["a", "team/set", "a::b", "ü 1/x.y", "versions/a", "…", "a" * MAX_ID_CHARACTERS]
)
def test_an_id_that_a_path_can_name_is_taken(given: str) -> None:
    check_chosen_id(given, "dataset_id", ("versions",))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("", "empty"),
        ("a" * (MAX_ID_CHARACTERS + 1), "256 characters"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("\ud800", "surrogate"),
        ("/a", "slash"),
        ("a/", "slash"),
        ("a//b", "slash"),
        ("../a", "slash"),
        ("a/./b", "slash"),
        (" ", "slash"),
        ("a/versions", "'versions'"),
        ("versions", "'versions'"),
    ],
)
def test_an_id_that_no_path_can_name_is_refused(given: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem) as refused:
        check_chosen_id(given, "dataset_id", ("versions",))
    assert refused.value.detail.startswith("dataset_id ")
