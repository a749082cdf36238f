"""Calls in Java and JavaScript, whose arguments are read as the type that they should have."""

from __future__ import annotations

from typing import Any

import pytest

from stack.providers.scoring.bfcl_python import NoCall
from stack.providers.scoring.bfcl_source import Source, source_calls
from tests.providers.scoring.rows import score_row


def argument(text: str, language: str) -> Source:
    (call,) = source_calls(f"o.f(a={text})", language)
    assert call.name == "o.f"
    source = call.arguments["a"]
    assert isinstance(source, Source)
    return source


@pytest.mark.parametrize(
    ("text", "kind", "nested", "value"),
    [
        ("5", "integer", None, 5),
        ("-5", "integer", None, -5),
        ("5L", "integer", None, "5L"),
        ("5L", "long", None, 5),
        ("5", "long", None, "5"),
        ("1.5f", "float", None, 1.5),
        ("1.5", "double", None, 1.5),
        ("1e3", "double", None, 1000.0),
        ("true", "boolean", None, True),
        ("x", "boolean", None, "x"),
        ("'c'", "char", None, "c"),
        ('"a \\" b"', "String", None, 'a \\" b'),
        ("obj.get(1)", "any", None, "obj.get(1)"),
        ("new int[]{1, 2}", "Array", "integer", [1, 2]),
        ('new ArrayList<>(Arrays.asList("a", "b"))', "ArrayList", "String", ["a", "b"]),
        ('new ArrayList<String>() {{ add("a"); add("b"); }}', "ArrayList", "String", ["a", "b"]),
        ("new ArrayList<>()", "ArrayList", "String", []),
        ("List.of(1L, 2L)", "ArrayList", "long", [1, 2]),
        ("list", "ArrayList", "String", "list"),
        ('new HashMap<String, Object>() {{ put("k", 1); put("l", "v"); }}', "HashMap", None, {"k": 1, "l": "v"}),
        ('Map.of("k", true)', "HashMap", None, {"k": True}),
        ("new HashMap<>()", "HashMap", None, {}),
        ("9" * 400, "integer", None, "9" * 400),
    ],
)  # fmt: skip
def test_java(text: str, kind: str, nested: str | None, value: Any) -> None:
    found = argument(text, "Java").value(kind, nested)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "nested", "value"),
    [
        ("5", "integer", None, 5),
        ("5n", "Bigint", None, 5),
        ("5", "Bigint", None, "5"),
        ("1.5", "float", None, 1.5),
        ("true", "Boolean", None, True),
        ("'s'", "String", None, "s"),
        ("`s`", "String", None, "s"),
        ("[1, 2]", "array", "integer", [1, 2]),
        ("['a']", "array", "String", ["a"]),
        ("{k: 'v', \"n\": [1, {m: false}]}", "dict", None, {"k": "v", "n": [1, {"m": False}]}),
        ("x => x", "any", None, "x => x"),
        ("data.rows", "array", "any", "data.rows"),
    ],
)
def test_javascript(text: str, kind: str, nested: str | None, value: Any) -> None:
    found = argument(text, "JavaScript").value(kind, nested)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("language", ["Java", "JavaScript"])
def test_what_is_no_call(language: str) -> None:
    assert source_calls("[]", language) == []
    for written in ("f(a=", "I would call it f", "f(a=1, a=2)"):
        with pytest.raises(NoCall):
            source_calls(written, language)


def test_rows_in_java_and_javascript() -> None:
    java = {"name": "Db.open", "parameters": {"properties": {"n": {"type": "long"}}, "required": ["n"]}}
    row: dict[str, Any] = {
        "id": "java_3",
        "language": "Java",
        "function": [java],
        "ground_truth": [{"Db.open": {"n": [7]}}],
    }
    assert score_row("basic::bfcl", row | {"generated_answer": "[Db.open(n=7L)]"}) == {"score": 1.0}
    assert score_row("basic::bfcl", row | {"generated_answer": "[Db.open(n=7)]"})["score"] == 0.0
    assert "'n' is missing" in score_row("basic::bfcl", row | {"generated_answer": "Db.open(7L)"})["reason"]
    script = {
        "name": "go",
        "parameters": {"properties": {"l": {"type": "array", "items": {"type": "integer"}}}},
    }
    row |= {
        "language": "JavaScript",
        "id": "javascript_1",
        "function": [script],
        "ground_truth": [{"go": {"l": [[1, 2]]}}],
    }
    assert score_row("basic::bfcl", row | {"generated_answer": "go(l=[1, 2]);"}) == {"score": 1.0}
