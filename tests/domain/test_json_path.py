"""JSON paths select values by their place."""

from __future__ import annotations

import pytest

from stack.domain.json_path import JsonPath
from stack.errors import Invalid


@pytest.mark.parametrize(
    ("path", "keys", "selected"),
    [
        ("$.a", ("a",), True),
        ("$.a", ("b",), False),
        ("$.a", ("a", "b", 0), True),
        ("$.a.b", ("a",), False),
        ("$.a.b", ("a", "b"), True),
        ("$['a b'].c", ("a b", "c"), True),
        ('$["a.b"]', ("a.b",), True),
        ("$.a[0]", ("a", 0), True),
        ("$.a[0]", ("a", 1), False),
        ("$.a[0]", ("a", "0"), False),
        ("$.a[*].b", ("a", 7, "b"), True),
        ("$.a.*", ("a", "x"), True),
        ("$.a.*", ("a",), False),
        ("$..b", ("b",), True),
        ("$..b", ("a", 0, "c", "b"), True),
        ("$..b", ("a", "bb"), False),
        ("$.a..b.c", ("a", "x", "b", "b", "c"), True),
        ("$.a..b.c", ("x", "a", "b", "c"), False),
        ("$..*", ("a",), True),
        ("$..[0]", ("a", 0), True),
        ("$.é-ü_1", ("é-ü_1",), True),
    ],
)
def test_a_path_selects(path: str, keys: tuple[str | int, ...], selected: bool) -> None:
    assert JsonPath(path).matches(keys) is selected


@pytest.mark.parametrize(
    "text", ["", "a", "$", "$.", "$a", "$.a[", "$.a[x]", "$.a..", "$[?(@.a)]", "$.a[0:1]", "$.a b"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="redact_path is"):
        JsonPath(text, "redact_path")


def test_the_name_of_a_path_is_its_last() -> None:
    assert JsonPath("$.a..b[*]").name == "b"
    assert JsonPath("$[0]").name == ""
