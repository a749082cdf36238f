"""Stored events as a newer release may write them: with fields, kinds and values that this release does not know."""

from __future__ import annotations

from typing import Any

UNKNOWN: dict[str, Any] = {"x_later": {"deep": [{"x_later": 1}], "none": None}, "a_later": "text"}
AS_GIVEN = frozenset(
    (
        "metadata",
        "args",
        "input_schema",
        "output_schema",
        "json_schema",
        "bnf",
        "scores",
        "aggregates",
        "generation",
        "rows",
        "head",
        "request",
        "question",
        "approval",
        "extra",
        "resources",
        "metrics",
    )
)
"""Values that must be stored and served unchanged, whatever they contain."""
BY_NAME = frozenset(("scoring_params", "spans"))
"""Objects whose keys are names, not fields."""


def with_unknown_fields(value: Any, name: str = "") -> Any:
    """The same JSON with unknown fields in every object at every depth."""
    if isinstance(value, list):
        return [with_unknown_fields(one, name) for one in value]
    if not isinstance(value, dict) or name in AS_GIVEN or "$blob" in value:
        return value
    if name == "content" and "type" not in value:
        return value  # a document, as it was posted
    if name in BY_NAME:
        return {key: with_unknown_fields(one) for key, one in value.items()}
    return {key: with_unknown_fields(one, key) for key, one in value.items()} | UNKNOWN


def with_unknown_kinds(value: Any) -> Any:
    """The same JSON with a message of an unknown role and an item of an unknown type in each list of such."""
    if isinstance(value, list):
        changed = [with_unknown_kinds(one) for one in value]
        first = value[0] if value and isinstance(value[0], dict) else {}
        if "role" in first:
            changed += [{"role": "narrator", "content": "Meanwhile,"}, {"role": "tool", "content": "x"}]
        if first.get("type") in ("text", "image"):
            changed += [{"type": "audio", "audio": {"data": "AA=="}}, {"type": "text"}]
        return changed
    if isinstance(value, dict):
        return {key: with_unknown_kinds(one) for key, one in value.items()}
    return value
