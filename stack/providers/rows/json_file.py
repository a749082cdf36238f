"""Rows of JSON and JSONL files, with their original text."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from stack.errors import Invalid
from stack.providers.rows.content import Content
from stack.providers.rows.port import RowBlock
from stack.providers.rows.row_text import blocks, check_kind, malformed

_rows = msgspec.json.Decoder(list[Raw])
_object = msgspec.json.Decoder(dict[str, Raw])
_SPACE = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"


def json_rows(content: Content, *, lines: bool) -> Iterator[RowBlock]:
    """Reads an array of objects, or one object per line (if `lines`, or if detected: files of lines are often
    named `.json`). Raises Invalid, TooLarge."""
    start = content.head(4096).removeprefix(_MARK).lstrip(_SPACE)
    if start.startswith(b"["):
        first = start[1:].lstrip(_SPACE)[:1]
        if first != b"[":
            # Numbers are not decoded; nesting that is too deep is detected by the decoder.
            check_kind(first, f"{content.shown}: element 0")
        return _of_array(content)
    if not lines:
        _require_lines(content, start)
    return _of_lines(content)


def _of_array(content: Content) -> Iterator[RowBlock]:
    text = content.whole().removeprefix(_MARK)
    try:
        rows = _rows.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(content.shown, error, text) from None
    return blocks(enumerate(rows), lambda index: f"{content.shown}: element {index}", content.limits)


def _of_lines(content: Content) -> Iterator[RowBlock]:
    filled = ((number, line) for number, line in enumerate(content.lines(), 1) if not line.isspace())
    return blocks(filled, lambda number: f"{content.shown}: line {number}", content.limits)


def _require_lines(content: Content, start: bytes) -> None:
    """Raises Invalid if the content is JSON, but neither an array nor one object per line."""
    if not start:
        raise Invalid(f"{content.shown} is empty; it needs a JSON array of objects, [] for none.")
    filled = (line for line in content.lines() if not line.isspace())
    first = next(filled, b"")
    try:
        _object.decode(first)
        if next(filled, None) is not None:
            return
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    kind = "one JSON object" if start.startswith(b"{") else "not JSON, or a single value"
    raise Invalid(
        f"{content.shown} is {kind}; rows are an array of objects, [{{...}}, {{...}}], or one object a line in a "
        ".jsonl file."
    )
