"""An OpenAPI document boiled down to its facts: what must be equal for two documents to promise the same.

Names, types, what is required, defaults, enumerations, discriminators, parameters and answers count; texts, titles,
examples and the order of things do not. An unknown keyword is an error, so that no fact is passed over.
"""

from __future__ import annotations

from typing import Any

PREFIX = "#/components/schemas/"
TEXTS = {"description", "title", "example", "summary", "operationId", "tags"}


def operation_facts(operation: dict[str, Any], responses: dict[str, Any]) -> dict[str, Any]:
    """`parameters` by place and name, `body`, and `answers` by status and media type."""
    left = {key: value for key, value in operation.items() if key not in TEXTS}
    facts: dict[str, Any] = {}
    if left.pop("deprecated", False):
        facts["deprecated"] = True
    parameters = {
        f"{one['in']} {one['name']}" + ("!" if one.get("required") else ""): schema_facts(one["schema"])
        for one in left.pop("parameters")
        if not one.get("x-not-in-specification")
    }
    if parameters:
        facts["parameters"] = parameters
    if "requestBody" in left:
        body = left.pop("requestBody")
        facts["body" + ("!" if body.get("required") else "")] = content_facts(body)
    facts["answers"] = {
        status: content_facts(responses[one["$ref"].rpartition("/")[2]] if "$ref" in one else one)
        for status, one in left.pop("responses").items()
    }
    assert not left, f"unknown keywords {sorted(left)}"
    return facts


def content_facts(holder: dict[str, Any]) -> dict[str, Any]:
    return {kind: schema_facts(one["schema"]) for kind, one in holder.get("content", {}).items()}


def schema_facts(schema: dict[str, Any]) -> Any:
    """The facts of a schema: a word for a simple type, a reference's name, `[item]` for an array, a dictionary for
    an object (its required fields marked with `!`) or a choice."""
    left = {key: value for key, value in schema.items() if key not in TEXTS}
    extra = {key: left.pop(key) for key in ("default", "deprecated") if key in left}
    facts = _typed(left)
    assert not left, f"unknown keywords {sorted(left)}"
    if not extra:
        return facts
    return {"type": facts, **extra}


def _typed(left: dict[str, Any]) -> Any:
    if "$ref" in left:
        name = left.pop("$ref").removeprefix(PREFIX)
        return f"{name}; const {left.pop('const')}" if "const" in left else name
    for choice in ("oneOf", "anyOf"):
        if choice in left:
            branches = sorted((schema_facts(one) for one in left.pop(choice)), key=str)
            facts: dict[str, Any] = {choice: branches}
            if "discriminator" in left:
                by = dict(left.pop("discriminator"))
                mapping = {value: ref.removeprefix(PREFIX) for value, ref in by.pop("mapping").items()}
                facts["by"] = {by.pop("propertyName"): mapping}
                assert not by
            return facts
    kind = left.pop("type")
    if kind == "array":
        return [schema_facts(left.pop("items"))] if "items" in left else "array"
    if kind == "object":
        return _object(left)
    details = [f"{key} {left.pop(key)}" for key in ("format", "contentEncoding", "const") if key in left]
    if "enum" in left:
        details.append("one of " + ", ".join(sorted(left.pop("enum"))))
    return "; ".join([kind, *details])


def _object(left: dict[str, Any]) -> Any:
    if "properties" not in left and "additionalProperties" not in left:
        return "object"
    if "properties" not in left:
        return {"values": schema_facts(left.pop("additionalProperties"))}
    required = set(left.pop("required", ()))
    fields = {
        name + ("!" if name in required else ""): schema_facts(one)
        for name, one in sorted(left.pop("properties").items())
        if not one.get("x-not-in-specification")
    }
    closed = left.pop("additionalProperties", True) is False
    return {"fields" if closed else "open fields": fields}
