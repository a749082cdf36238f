"""Text of others on a terminal: nothing in it may style, move or hide what is printed."""

from __future__ import annotations

import unicodedata

from rich.text import Text


def plain(text: str, characters: int = 0) -> Text:
    """`text` on one line without control characters, at most `characters` of it (0: all), never read as markup."""
    cut = text if not characters or len(text) <= characters else text[: characters - 1] + "…"
    return Text("".join([_shown(character) for character in cut]))


def escaped(text: str) -> str:
    """JSON or other text for a terminal: line breaks and tabs stay, all other control characters, marks that turn the
    direction of text and halves of pairs become `\\u` escapes, which mean the same in JSON."""
    return "".join(
        [
            f"\\u{ord(one):04x}" if one not in "\n\t" and _is_control(one) and ord(one) < 0x10000 else one
            for one in text
        ]
    )


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def _shown(character: str) -> str:
    if character in "\n\t ":
        return " "
    # Cc: controls, escape sequences begin with one; Cf: marks that turn the direction of text; Cs: half pairs.
    return "\N{REPLACEMENT CHARACTER}" if _is_control(character) else character
