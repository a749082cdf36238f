"""Patterns of users, matched by RE2: in linear time whatever the pattern, so without look-around and back-references."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from stack.errors import Invalid

MAX_PATTERNS = 256
MAX_CHARACTERS = 65_536
"""Of all patterns of one function together; compiling that many takes some 10 ms."""


def check(patterns: Sequence[str], where: str) -> None:
    """Raises Invalid for a pattern that RE2 refuses; `where` names the field that holds them."""
    if len(patterns) > MAX_PATTERNS or sum(map(len, patterns)) > MAX_CHARACTERS:
        raise Invalid(
            f"{where} holds {len(patterns)} patterns of {sum(map(len, patterns)):,} characters; at most "
            f"{MAX_PATTERNS} patterns of {MAX_CHARACTERS:,} characters together can be used."
        )
    for position, pattern in enumerate(patterns):
        try:
            _compiled(pattern)
        except ValueError as error:
            raise Invalid(f"{where}[{position}] is {pattern[:80]!r}: {error}") from None


def first_match(patterns: Sequence[str], text: str) -> str | None:
    """What the first pattern that matches found: its first group, or all of it where it has no group."""
    # Encoded once: given a str, RE2 would do that for each pattern.
    encoded = text.encode()
    for pattern in patterns:
        compiled = _compiled(pattern)
        found = compiled.search(encoded)
        answer: bytes | None = found.group(1 if compiled.groups else 0) if found is not None else None
        if answer is not None:
            return answer.decode()
    return None


@functools.lru_cache(1024)
def _compiled(pattern: str) -> Any:
    """Raises ValueError, with what to do instead."""
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern.encode(), options)
    except UnicodeEncodeError:
        raise ValueError("it is no valid Unicode text.") from None
    except re2.error as error:
        raise ValueError(_explained(error)) from None


def _explained(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    if said.startswith(("invalid perl operator", "invalid escape sequence: \\", "invalid named capture")):
        said += ". Patterns are those of RE2, which has no look-ahead, no look-behind and no back-references"
    return f"{said}."
