"""Which calls need approval, by the rules of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stack.providers.patterns import first_match
from stack.providers.tools.settings import ApprovalRule


def needs_approval(rules: Sequence[ApprovalRule], tool: str, arguments: dict[str, Any]) -> bool:
    """Returns whether a rule applies to a call. `tool` is named as its group names it."""
    return any(_applies(rule, tool, arguments) for rule in rules)


def _applies(rule: ApprovalRule, tool: str, arguments: dict[str, Any]) -> bool:
    if rule.tools and tool not in rule.tools:
        return False
    return all(
        first_match([pattern], _at(path, arguments)) is not None for path, pattern in rule.arguments.items()
    )


def _at(path: str, arguments: Any) -> str:
    """Returns the value at a path such as `$.options.path` as text; empty if there is none."""
    value = arguments
    for part in path.removeprefix("$").strip(".").split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
