"""Patterns of users, matched by RE2: in linear time, and therefore without look-around and
back-references."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from stack.errors import Invalid

MAX_PATTERNS = 256
MAX_CHARACTERS = 65_536
MAX_STEPS = 50_000
"""Maximum size of the compiled programs of one function's patterns; in the worst case, matching takes time
proportional to this size times the length of the text (measured: 211 s for 400,000 steps and 200 kB)."""
CHECK_BYTES = 1 << 20
MATCH_BYTES = 8 << 20
"""Memory limit of RE2 for one pattern, in bytes. A smaller limit refuses large patterns early; a larger one
makes matching of large patterns 100 times faster."""


def check(patterns: Sequence[str], where: str) -> None:
    """Raises Invalid for a pattern that RE2 refuses; `where` names the field that contains them."""
    if len(patterns) > MAX_PATTERNS or sum(map(len, patterns)) > MAX_CHARACTERS:
        raise Invalid(
            f"{where} holds {len(patterns)} patterns of {sum(map(len, patterns)):,} characters; at most "
            f"{MAX_PATTERNS} patterns of {MAX_CHARACTERS:,} characters together can be used."
        )
    steps = 0
    for position, pattern in enumerate(patterns):
        try:
            steps += _compiled(pattern, CHECK_BYTES).programsize
        except ValueError as error:
            raise Invalid(f"{where}[{position}] is {pattern[:80]!r}: {error}") from None
        if steps > MAX_STEPS:
            raise Invalid(
                f"{where}[{position}]: the patterns are too large together. Repeat less, or use fewer."
            )


def first_match(patterns: Sequence[str], text: str) -> str | None:
    """Returns the first match of the first pattern that matches: its first group, or the whole match without
    a group."""
    return next(_found(patterns, text), None)


def last_match(patterns: Sequence[str], text: str) -> str | None:
    """Returns the last match of the first pattern that matches: its first group, or the whole match without a
    group."""
    found = deque(_found(patterns, text), maxlen=1)
    return found[0] if found else None


def _found(patterns: Sequence[str], text: str) -> Iterator[str]:
    # Encoded once: RE2 would encode a str for each pattern.
    encoded = text.encode()
    for pattern in patterns:
        program = compiled(pattern)
        group = 1 if program.groups else 0
        matched = False
        for found in program.finditer(encoded):
            if found.group(group) is not None:
                matched = True
                yield found.group(group).decode()
        if matched:
            return


def spans(pattern: str, text: str) -> Iterator[tuple[int, int]]:
    """Yields start and end of each match, in characters."""
    return _spans(pattern, text, 0)


def group_spans(pattern: str, text: str) -> Iterator[tuple[int, int]]:
    """Yields start and end of the first group of each match, or of the whole match without a group, in characters."""
    return _spans(pattern, text, 1 if compiled(pattern).groups else 0)


def _spans(pattern: str, text: str, group: int) -> Iterator[tuple[int, int]]:
    encoded = text.encode()
    characters = position = 0
    for found in compiled(pattern).finditer(encoded):
        if (value := found.group(group)) is None:
            continue
        start = characters + len(encoded[position : found.start(group)].decode())
        position, characters = found.end(group), start + len(value.decode())
        yield start, characters


def compiled(pattern: str) -> Any:
    """Returns the compiled pattern, for matching against UTF-8. Raises ValueError."""
    return _compiled(pattern, MATCH_BYTES)


@functools.lru_cache(1024)
def _compiled(pattern: str, memory_bytes: int) -> Any:
    """Raises ValueError, whose text contains the remedy."""
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory_bytes
    try:
        return re2.compile(pattern.encode(), options)
    except UnicodeEncodeError:
        raise ValueError("it is not valid Unicode text.") from None
    except re2.error as error:
        raise ValueError(_explained(error)) from None


def _explained(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    if said.startswith(("invalid perl operator", "invalid escape sequence: \\", "invalid named capture")):
        said += ". Patterns are those of RE2, which has no look-ahead, no look-behind and no back-references"
    return f"{said}."
