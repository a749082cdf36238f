"""Label matchers: equal, not equal, and patterns over whole values."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.api.telemetry import MetricLabelMatcher
from telemetry.query.errors import QueryInvalid
from telemetry.query.label_matcher import MAX_MATCHERS, matchers


def matches(
    name: str, operator: Any, value: str, labels: dict[str, str], resource: dict[str, str] | None = None
) -> bool:
    [matcher] = matchers([MetricLabelMatcher(name=name, operator=operator, value=value)])
    return matcher.matches(labels, resource or {})


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("=", "gpt-x", True),
        ("=", "gpt", False),
        ("!=", "gpt-x", False),
        ("!=", "gpt", True),
        ("=~", "gpt", False),
        ("=~", "gpt-.", True),
        ("=~", "gpt-x|other", True),
        ("=~", "", False),
        ("!~", "gpt", True),
        ("!~", ".*x", False),
        ("!~", ".+", False),
    ],
)
def test_operators(operator: str, value: str, expected: bool) -> None:
    assert matches("model", operator, value, {"model": "gpt-x"}) is expected


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("=", "", True),
        ("!=", "", False),
        ("!=", "x", True),
        ("=~", ".*", True),
        ("=~", ".+", False),
        ("!~", "x", True),
    ],
)
def test_a_missing_label_is_the_empty_text(operator: str, value: str, expected: bool) -> None:
    assert matches("model", operator, value, {"other": "x"}) is expected
    assert matches("model", operator, value, {"model": ""}) is expected


def test_attributes_of_the_resource_unless_a_label_has_the_name() -> None:
    resource = {"service.name": "shop"}
    assert matches("resource.service.name", "=", "shop", {}, resource)
    assert matches("service.name", "=", "", {}, resource)
    assert not matches("resource.service.name", "=", "shop", {"resource.service.name": "x"}, resource)


@given(st.text(), st.text())
def test_any_text_is_equal_to_itself_only(value: str, other: str) -> None:
    assert matches("l", "=", value, {"l": value})
    assert matches("l", "=", value, {"l": other}) == (value == other)
    assert matches("l", "!=", value, {"l": other}) == (value != other)


@pytest.mark.parametrize("value", ["a\nb", "ä", "漢字", "\x00", "x" * 4_000])
def test_a_dot_is_any_character(value: str) -> None:
    assert matches("l", "=~", ".*", {"l": value}) and matches("l", "=~", ".", {"l": "ä"})


def test_a_pattern_that_would_explode_takes_no_time() -> None:
    began = time.perf_counter()
    for pattern in ("(a*)*b", "(a|aa)+$", "(x+x+)+y", "([a-z]+)*z"):
        assert not matches("l", "=~", pattern, {"l": "a" * 50_000 + "!"})
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    "pattern",
    ["[", "(", "a{1001}", "(?=a)", r"(a)\1", "(?<!a)b", "*", "(((((x{100}){100}){100}){100}){100})"],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(QueryInvalid, match=r"label_matchers\[0\].value is not a valid pattern"):
        matches("l", "=~", pattern, {})


def test_bounds() -> None:
    with pytest.raises(QueryInvalid, match="65 matchers"):
        matchers([MetricLabelMatcher(name="l", value="x")] * (MAX_MATCHERS + 1))
    with pytest.raises(QueryInvalid, match="name is empty"):
        matches("", "=", "x", {})
    for name, value in (("l" * 4097, "x"), ("l", "x" * 4097)):
        with pytest.raises(QueryInvalid, match="4096 characters"):
            matches(name, "=", value, {})
    assert matchers(None) == ()
