"""Checks the settings of a toolgroup beyond their types."""

from __future__ import annotations

from stack.errors import Invalid
from stack.providers.patterns import check as check_patterns
from stack.providers.tools.settings import ToolGroupSettings

KINDS = ("mcp", "builtin")


def check(settings: ToolGroupSettings) -> None:
    """Checks combinations of values. Raises ValueError with the remedy."""
    kind, _, name = settings.id.partition("::")
    if kind not in KINDS or not name:
        raise ValueError("The id of a toolgroup begins with `mcp::` or `builtin::`.")
    try:
        check_patterns(
            [pattern for rule in settings.approval for pattern in rule.arguments.values()], "approval"
        )
    except Invalid as error:
        raise ValueError(error.detail) from None
