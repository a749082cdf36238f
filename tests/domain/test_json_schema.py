"""JSON Schemas from callers: what is none, what reaches outside, what would never end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.domain.json_schema import check_schema, mismatch
from stack.errors import Invalid

NODE: dict[str, Any] = {
    "$defs": {"node": {"type": "object", "additionalProperties": {"$ref": "#/$defs/node"}}},
    "$ref": "#/$defs/node",
}


class Listener:
    """A listening socket that counts who connects."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/schema.json"
        self.connections = 0
        self._closing = False
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            connection.close()
            if self._closing:
                return
            self.connections += 1

    def close(self) -> None:
        self._closing = True
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.mark.parametrize(
    "reaching",
    [
        lambda url: {"$ref": url},
        lambda url: {"$ref": f"{url}#/definitions/x"},
        lambda url: {"properties": {"a": {"items": {"$ref": url}}}},
        lambda url: {"$schema": url, "type": "object"},
        lambda url: {"$schema": url, "$vocabulary": {url: True}},
        lambda url: {"$id": url, "properties": {"a": {"$ref": "other.json"}}},
        lambda url: {"$dynamicRef": url},
        lambda url: {
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "$recursiveRef": "#",
            "$ref": url,
        },
        lambda url: {"not": {"anyOf": [{"$ref": url}]}},
    ],
)
def test_no_schema_makes_a_request(reaching: Any, listener: Listener) -> None:
    with pytest.raises(Invalid, match="schema is not a usable JSON Schema"):
        check_schema(reaching(listener.url), "schema")
    assert mismatch(reaching(listener.url), {"a": 1})
    assert listener.connections == 0


def test_no_schema_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "there.json"
    path.write_text('{"type": "object"}')
    for field in ("$ref", "$schema", "$dynamicRef"):
        for target in (path.as_uri(), "file:///etc/passwd", str(path)):
            with pytest.raises(Invalid) as caught:
                check_schema({field: target}, "schema")
            assert "root:" not in caught.value.detail


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "str"},
        {"properties": []},
        {"required": "name"},
        {"pattern": "("},
        {"pattern": "(?=look)ahead"},
        {"pattern": r"(back)\1"},
        {"pattern": "(a{1000}){1000}"},
        {"minimum": "1"},
        {"minimum": float("nan")},
        {"multipleOf": 0},
        {"$ref": "#/nowhere"},
        {"$ref": "#nowhere"},
        {"$ref": 7},
        {"$ref": "urn:uuid:1"},
        {"$id": "http://[::1"},
        {"$schema": "urn:x"},
        {"$schema": ["x"]},
        {"description": "\ud800"},
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(schema: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        check_schema(schema, "client_tools[3].input_schema")
    assert caught.value.detail.startswith("client_tools[3].input_schema is not a usable JSON Schema: ")
    assert len(caught.value.detail) < 500 and "\n" not in caught.value.detail


@pytest.mark.parametrize("depth", [200, 900, 20_000])
def test_a_schema_nested_without_measure_is_refused(depth: int) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    with pytest.raises(Invalid, match="Recursion limit"):
        check_schema(schema, "schema")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]},
        {"$schema": "http://json-schema.org/draft-04/schema#", "id": "x", "type": "object"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "integer"}}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "integer"}]},
        {"minimum": 10**400},
        {"x-vendor": {"anything": 1}},
        NODE,
    ],
)
def test_schemas_of_all_kinds_are_taken(schema: dict[str, Any]) -> None:
    check_schema(schema, "schema")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"not": {"$ref": "#"}},
        {"$dynamicRef": "#"},
    ],
)
def test_a_schema_that_refers_to_itself_ends(schema: dict[str, Any]) -> None:
    check_schema(schema, "schema")
    mismatch(schema, {"a": {"a": [1, 2]}})


def test_a_recursive_schema_checks_every_depth() -> None:
    assert mismatch(NODE, {"a": {"b": {"c": {}}}}) == ""
    assert mismatch(NODE, {"a": {"b": {"c": 1}}}).startswith("['a']['b']['c']: ")


def test_patterns_take_linear_time() -> None:
    """A backtracking engine would not end within a lifetime."""
    for pattern in ("^(a+)+$", "^(a|aa)+$", "^(.*a){20}$"):
        schema = {"type": "string", "pattern": pattern}
        check_schema(schema, "schema")
        assert mismatch(schema, "a" * 10_000 + "!")


@pytest.mark.parametrize(
    ("schema", "value", "mentions"),
    [
        ({"type": "object"}, [], "the value: [] is not of type"),
        ({"properties": {"n": {"minimum": 3}}}, {"n": 1}, "['n']: 1 is less than"),
        ({"items": {"type": "integer"}}, [1, "x"], "[1]: "),
        ({"required": ["a"]}, {}, '"a" is a required property'),
        ({"additionalProperties": False}, {"b": 1}, "False schema does not allow 1"),
        ({"enum": ["x"]}, "y", "the value: "),
    ],
)
def test_a_mismatch_says_where_and_why(schema: dict[str, Any], value: Any, mentions: str) -> None:
    assert mentions in mismatch(schema, value)


def test_a_mismatch_of_a_huge_value_is_short() -> None:
    assert len(mismatch({"type": "integer"}, ["x" * 1_000_000])) < 400


@pytest.mark.parametrize("value", [{"n": 2**80}, {"n": -(2**63)}, {"s": "\x00\u2028🎉"}, None, 1.5, [[]]])
def test_what_fits_has_no_mismatch(value: Any) -> None:
    assert mismatch({}, value) == ""


def test_a_schema_that_refers_to_itself_is_refused_at_once() -> None:
    node = {"anyOf": [{"$ref": "#/$defs/node"}, {"$ref": "#/$defs/other"}]}
    schema = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {"type": "object", "properties": {"next": node}, "additionalProperties": False},
            "other": {"type": "object", "properties": {"next": node}, "required": ["next"]},
        },
    }
    value: dict[str, object] = {"wrong": 1}
    for _ in range(40):
        value = {"next": value}
    # Collecting the reasons would take longer than this test may run by many powers of two.
    assert mismatch(schema, value) == "the value does not fit the schema"
    assert mismatch(schema, {"next": {"next": {}}}) == ""


def test_references_that_do_not_lead_back_keep_the_reason() -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/count"}}, "$defs": {"count": {"type": "integer"}}}
    assert "not of type" in mismatch(schema, {"a": "x"})
