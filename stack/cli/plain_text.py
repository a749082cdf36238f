"""Text of others on a terminal: nothing in it may style, move or hide what is printed."""

from __future__ import annotations

import unicodedata

from rich.text import Text


def plain(text: str, characters: int = 0) -> Text:
    """`text` on one line without control characters, at most `characters` of it (0: all), never read as markup."""
    cut = text if not characters or len(text) <= characters else text[: characters - 1] + "…"
    return Text("".join([_shown(character) for character in cut]))


def _shown(character: str) -> str:
    if character in "\n\t ":
        return " "
    # Cc: controls, escape sequences begin with one; Cf: marks that turn the direction of text; Cs: half pairs.
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character
