"""JSON Schema: validates schemas, and values against schemas. Never fetches a `$ref` from another
document."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from stack.errors import Invalid

# Regular expressions in linear time, because a schema's patterns are sent by callers.
_PATTERNS = jsonschema_rs.RegexOptions()
_REFUSALS = (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, RecursionError)


_ALTERNATIVES = frozenset(("anyOf", "oneOf", "allOf", "not", "if", "then", "else", "dependentSchemas"))
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


KEPT_BYTES = 8_192


class RemoteReference(ValueError):
    """A schema refers to another document."""


def _refused(uri: str) -> Any:
    raise RemoteReference(f"{uri[:200]} lies outside of the schema")


# Without this, an unknown `$schema` is fetched: 30 s on a server that does not answer.
_NO_OTHERS = jsonschema_rs.Registry([], retriever=_refused)


def check_schema(schema: dict[str, Any], where: str) -> None:
    """Raises Invalid if it is not a JSON Schema, or refers to another document."""
    try:
        _validator(schema)
        jsonschema_rs.meta.validate(schema, registry=_NO_OTHERS)
    except _REFUSALS as error:
        raise Invalid(f"{where} is not a usable JSON Schema: {_first_line(error)}.") from None


def mismatch(schema: dict[str, Any], value: Any) -> str:
    """Returns where and why a value does not match the schema; empty if it matches.

    For a schema that refers to itself within alternatives, the text gives no reasons: collecting them takes
    time exponential in the depth of the value (8-14 s at 16 levels); the check alone takes 30 us.
    """
    try:
        if _validator(schema).is_valid(value):
            return ""
        if _has_alternatives(schema) and _refers_to_itself(schema):
            return "the value does not fit the schema"
        for error in _validator(schema).iter_errors(value):
            path = "".join(f"[{part!r}]" for part in error.instance_path)
            return f"{path or 'the value'}: {_first_line(error)}"
    except _REFUSALS as error:
        return _first_line(error)
    return ""


def _validator(schema: dict[str, Any]) -> Any:
    """Compiles a schema (50 us). Small ones are kept, because each call of a tool is checked."""
    try:
        text = msgspec.json.encode(schema)
    except (OverflowError, RecursionError):
        return _compiled(schema)
    return _kept(text) if len(text) <= KEPT_BYTES else _compiled(schema)


@lru_cache(256)
def _kept(schema: bytes) -> Any:
    return _compiled(msgspec.json.decode(schema))


def _compiled(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for(schema, retriever=_refused, pattern_options=_PATTERNS)


def _has_alternatives(schema: dict[str, Any]) -> bool:
    """Returns whether a reference occurs under a keyword that tries several schemas on one value."""
    nodes: list[tuple[Any, bool]] = [(schema, False)]
    while nodes:
        node, inside = nodes.pop()
        if isinstance(node, dict):
            if inside and any(isinstance(node.get(key), str) for key in _REFERENCES):
                return True
            nodes.extend((value, inside or key in _ALTERNATIVES) for key, value in node.items())
        elif isinstance(node, list):
            nodes.extend((value, inside) for value in node)
    return False


def _refers_to_itself(schema: dict[str, Any]) -> bool:
    """Returns whether a chain of references leads back to itself. `$dynamicRef` and similar keywords count as
    if so."""
    targets: dict[str, set[str]] = {}

    def refs(node: Any) -> set[str]:
        found: set[str] = set()
        nodes = [node]
        while nodes:
            node = nodes.pop()
            if isinstance(node, dict):
                if isinstance(node.get("$ref"), str):
                    found.add(node["$ref"])
                if "$dynamicRef" in node or "$recursiveRef" in node:
                    found.add("#")
                nodes.extend(node.values())
            elif isinstance(node, list):
                nodes.extend(node)
        return found

    def leads_back(ref: str, above: frozenset[str]) -> bool:
        if ref in above or ref == "#":
            return True
        if ref not in targets:
            targets[ref] = refs(_target(schema, ref))
        return any(leads_back(next_ref, above | {ref}) for next_ref in targets[ref])

    return any(leads_back(ref, frozenset()) for ref in refs(schema))


def _target(schema: Any, ref: str) -> Any:
    """Returns the target of a local JSON pointer (`#/$defs/node`); the whole schema for any other
    reference."""
    node = schema
    for part in ref.removeprefix("#/").split("/") if ref.startswith("#/") else ():
        part = part.replace("~1", "/").replace("~0", "~")
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300].rstrip(".")
