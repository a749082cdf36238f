"""Finds where statements of SQL end, without parsing them."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What can hide a semicolon; the last ones are open at the end of the text.
_PART = re.compile(
    r"""
    (?P<end>;)
    | (?<!\w)[eE]'(?:\\.|[^'\\]|'')*'
    | '(?:[^']|'')*' | "(?:[^"]|"")*"
    | (?P<tag>\$(?:[A-Za-z_]\w*)?\$) .*? (?P=tag)
    | --[^\n]*\n | /\*.*?\*/
    | (?P<open> ' | " | /\* | -- | \$(?:[A-Za-z_]\w*)?\$ )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)


def is_complete(text: str) -> bool:
    """Returns whether the text ends with the semicolon of a statement, apart from spaces and comments."""
    last = max(_ends(text), default=-1)
    return last >= 0 and _is_blank(text, last + 1, len(text))


def is_open(text: str) -> bool:
    """Returns whether the text ends inside a comment, or a text or name in quotes."""
    return any(part["open"] for part in _PART.finditer(text))


def statements(text: str) -> Iterator[str]:
    """Yields the statements without their semicolons; the last one needs none."""
    begin = 0
    for end in (*_ends(text), len(text)):
        if not _is_blank(text, begin, end):
            yield text[begin:end].strip()
        begin = end + 1


def last_statement(text: str) -> str:
    """Returns what follows the last semicolon."""
    return text[max(_ends(text), default=-1) + 1 :]


def _ends(text: str) -> Iterator[int]:
    for part in _PART.finditer(text):
        if part["open"]:
            return
        if part["end"]:
            yield part.start()


def _is_blank(text: str, begin: int, end: int) -> bool:
    return _BLANK.fullmatch(text, begin, end) is not None
