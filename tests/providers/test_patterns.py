"""Patterns of users: what RE2 takes, what it refuses and why, and that none explodes."""

from __future__ import annotations

import time

import pytest

from stack.errors import Invalid
from stack.providers.patterns import MAX_PATTERNS, check, first_match


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=a)b", "no look-ahead"),
        ("(?<!a)b", "no look-behind"),
        (r"(a)\1", "no back-references"),
        ("(?P<x>a)(?P=x)", "no back-references"),
        ("(", "missing )"),
        ("a**", "bad repetition"),
        ("a{1001}", "repetition size"),
        ("[z-a]", "character class range"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_what_re2_refuses_is_told_with_its_place(pattern: str, reason: str) -> None:
    with pytest.raises(Invalid) as raised:
        check(["ok", pattern], "parsing_regexes")
    assert raised.value.detail.startswith("parsing_regexes[1] is ")
    assert reason in raised.value.detail


def test_too_many_patterns_are_refused() -> None:
    with pytest.raises(Invalid, match=f"at most {MAX_PATTERNS} patterns"):
        check(["a"] * (MAX_PATTERNS + 1), "here")
    with pytest.raises(Invalid, match="characters together"):
        check(["a" * 70_000], "here")


def test_a_small_pattern_with_a_large_program_is_refused() -> None:
    began = time.monotonic()
    with pytest.raises(Invalid, match=r"here\[0\].*pattern too large"):
        check(["|".join(f"(?:a.{{0,{n}}}z)" for n in range(1, 300))], "here")
    with pytest.raises(Invalid, match=r"here\[\d+\]: the patterns are too large together"):
        check([f"x{n}(?:(?:.?){{100}}){{10}}c" for n in range(200)], "here")
    assert time.monotonic() - began < 2


def test_the_first_pattern_that_matches_counts() -> None:
    assert first_match(["x(.)", "a(.)", "(.)"], "abc") == "b"
    assert first_match(["x"], "abc") is None
    assert first_match([], "abc") is None


def test_the_first_group_counts_or_all_of_it() -> None:
    assert first_match(["b."], "abc") == "bc"
    assert first_match(["(?:b)(?P<X>c)"], "abc") == "c"
    assert first_match(["b()"], "abc") == ""
    # A group that took no part passes on to the next pattern.
    assert first_match(["(x)?b", "(c)"], "abc") == "c"


def test_text_beyond_ascii_comes_back_whole() -> None:
    assert first_match(["(?i)é(.)"], "É😀x") == "😀"


def test_no_pattern_explodes() -> None:
    began = time.monotonic()
    assert first_match([r"(a+)+b", r"(a|a)*b", r"(.*)(.*)(.*)(.*)c"], "a" * 200_000) is None
    assert time.monotonic() - began < 5
