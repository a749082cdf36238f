"""Checks the settings of a toolgroup beyond their types."""

from __future__ import annotations

from pathlib import PurePath

from stack.errors import Invalid
from stack.providers.patterns import check as check_patterns
from stack.providers.tools.settings import CODE_INTERPRETER, WEB_SEARCH, ToolGroupSettings

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
    if settings.id == CODE_INTERPRETER:
        _check_code_interpreter(settings)
    elif settings.engine or settings.python or settings.memory_bytes:
        raise ValueError(f"engine, python and memory_bytes are for {CODE_INTERPRETER}.")
    if settings.id == WEB_SEARCH:
        if settings.api_key and settings.provider is None:
            raise ValueError("provider is missing: brave or tavily.")
    elif settings.provider or settings.api_key or settings.base_url:
        raise ValueError(f"provider, api_key and base_url are for {WEB_SEARCH}.")


def _check_code_interpreter(settings: ToolGroupSettings) -> None:
    if settings.engine != "sandbox":
        if settings.python is not None:
            raise ValueError('python is for `engine = "sandbox"`.')
    elif settings.python is None or not PurePath(settings.python).is_absolute():
        raise ValueError(
            'engine = "sandbox" needs `python`, the absolute path of an interpreter, such as /srv/data-env/bin/python.'
        )
