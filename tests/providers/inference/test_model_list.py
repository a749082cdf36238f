"""Lists of models, in the forms that servers give them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack.providers.inference.model_list import ListedModel, listed_models

A, B = ListedModel("a"), ListedModel("b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, [A, B]),
        ([{"id": "a", "object": "model"}, {"id": "b"}], [A, B]),
        ({"models": [{"name": "a"}, {"model": "b"}]}, [A, B]),
        ({"models": [{"name": "x", "model": "y"}], "data": [{"id": "a"}]}, [A]),
        (["a", "b"], [A, B]),
        ({"data": ["a", {"id": "b"}]}, [A, B]),
        ({"data": [{"name": "x"}, {"id": "a"}, None, 7, [], {"id": None}, {"id": ""}, {"id": " "}, {"id": "b"}]}, [A, B]),
        ({"data": [{"id": "a"}, {"id": "a", "created": 5}]}, [A]),
        ({"data": [{"id": 7}]}, [ListedModel("7")]),
        ({"data": None}, []),
        ({"object": "list"}, []),
        ({"data": []}, []),
        ([], []),
        ({"data": [{"id": "a", "created": None, "owned_by": None, "pricing": {"a": 1}}]}, [A]),
        ({"data": [{"id": "a", "created": "soon", "owned_by": {"x": 1}}]}, [A]),
        ({"data": [{"id": "a", "created": 1714521600, "owned_by": "me"}]}, [ListedModel("a", 1714521600, "me")]),
        ({"data": [{"id": "a", "created": 1714521600.5}]}, [ListedModel("a", 1714521600)]),
        ({"data": [{"id": "a", "created": "1714521600"}]}, [ListedModel("a", 1714521600)]),
        ({"data": [{"id": "a", "created": "2024-05-01T00:00:00Z"}]}, [ListedModel("a", 1714521600)]),
        ({"data": [{"id": "a", "created": 1714521600000}]}, [ListedModel("a", 1714521600)]),
        ({"data": [{"id": "a", "created_at": "2024-05-01T02:00:00+02:00"}]}, [ListedModel("a", 1714521600)]),
        ({"data": [{"id": "a", "created": -5}]}, [A]),
        ({"data": [{"id": "a", "created": float("nan")}, {"id": "b", "created": float("inf")}]}, [A, B]),
        ({"data": [{"id": "a", "identifier": "demo/a", "provider_id": "demo"}]}, [ListedModel("a", is_own=True)]),
        ({"data": "x"}, None),
        ({"error": {"message": "no"}}, None),
        ({}, None),
        ("x", None),
        (7, None),
        (None, None),
    ],
)  # fmt: skip
def test_forms(value: Any, expected: list[ListedModel] | None) -> None:
    assert listed_models(json.dumps(value).encode()) == expected
    assert listed_models(b"\xef\xbb\xbf" + json.dumps(value, indent=1).encode()) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, b'{"data": ['])
def test_what_is_no_list(body: bytes) -> None:
    assert listed_models(body) is None
