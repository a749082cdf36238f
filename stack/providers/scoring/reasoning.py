"""Removes a model's reasoning from a text: the content of `<think>` blocks and similar ones."""

from __future__ import annotations

from itertools import islice

from stack.providers.patterns import compiled

MAX_TAGS = 10_000
"""Maximum number of tags that are read in a text; finding one takes up to 20 us."""

_NAMES = r"(?:seed:)?(?:think|thinking|thoughts?|reasoning)"
# Matched by RE2, which scans 10 MB without a tag in some milliseconds; `re` would block the server for
# seconds.
_OPENING = rf"<{_NAMES}(?:\s[^<>]*)?>|\[THINK\]|\x{{25C1}}think\x{{25B7}}|<\|begin_of_thought\|>|<\|channel\|>analysis<\|message\|>"
_CLOSING = rf"</{_NAMES}\s*>|\[/THINK\]|\x{{25C1}}/think\x{{25B7}}|<\|end_of_thought\|>|<\|channel\|>final<\|message\|>"
_TAG = f"(?i)({_OPENING})|{_CLOSING}"


def without_reasoning(text: str) -> str:
    """Returns the text outside of reasoning blocks, without surrounding space; the same text if it has no
    such block.

    Blocks may be nested. A block that is not closed was cut off: it extends to the end of the text. A closing
    tag without an opening one ends reasoning that started before the text, because some chat templates open
    the block themselves. A tag that the reasoning only mentions, so that one closing tag is missing, does not
    hide the answer: the text after the last tag is used if that is a closing one.
    """
    encoded = text.encode(errors="surrogatepass")
    kept: list[bytes] = []
    start, depth, opened, closed = 0, 0, False, 0
    for tag in islice(compiled(_TAG).finditer(encoded), MAX_TAGS):
        if tag.group(1):
            if depth == 0:
                kept.append(encoded[start : tag.start()])
            depth, opened, closed = depth + 1, True, 0
            continue
        if depth > 0:
            depth -= 1
        elif opened:
            kept.append(encoded[start : tag.start()])
        start = closed = tag.end()
    if not opened and not closed:
        return text
    if depth == 0:
        kept.append(encoded[start:])
    elif closed:
        kept.append(encoded[closed:])
    return "\n".join(part for piece in kept if (part := piece.decode(errors="surrogatepass").strip()))
