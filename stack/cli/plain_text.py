"""Text from others in tables and lines."""

from __future__ import annotations

from rich.text import Text

from stack.cli.terminal import one_line


def plain(text: str, characters: int = 0) -> Text:
    """Returns `text` on one line without control characters, at most `characters` of it (0: all), without
    markup."""
    cut = text if not characters or len(text) <= characters else text[: characters - 1] + "…"
    return Text(one_line(cut))
