"""Rows as JSON texts: validated, made compact, and combined into blocks of about 1 MiB."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from stack.errors import Invalid, ReplaystackError, TooLarge
from stack.providers.rows.port import RowBlock
from stack.providers.rows.settings import ReadLimits

BLOCK_BYTES = 2**20
MAX_DEPTH = 128
"""Maximum nesting of arrays and objects in a row, including the row: what JSON parsers in other languages
support."""

Where = Callable[[int], str]
"""Returns the name of a row by its number, for messages."""

_KINDS = {b"[": "a list", b'"': "a string", b"n": "null", b"t": "true", b"f": "false"} | dict.fromkeys(
    [b"%d" % digit for digit in range(10)] + [b"-"], "a number"
)
_HALF_PAIR = re.compile(
    rb"(?<!\\)(?:\\\\)*"
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F])"
)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_OPENING = bytes(set(range(256)) - set(b"[{\n"))
_NOT_NESTING = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")

# It accepts any buffer, including `Raw`.
_format: Any = msgspec.json.format


def blocks(rows: Iterable[tuple[int, Any]], where: Where, limits: ReadLimits) -> Iterator[RowBlock]:
    """Yields blocks of rows, given as numbered texts of JSON values (bytes or Raw). Raises Invalid for values
    that are not objects, not JSON, not UTF-8 or nested too deeply; TooLarge for a row larger than the
    limit."""
    numbers: list[int] = []
    for block in packed(_compact(rows, where, numbers), lambda index: where(numbers[index]), limits):
        _check(block, numbers, where)
        # The row after the block has been taken already.
        del numbers[: block.count]
        yield block


def packed(texts: Iterable[bytes], where: Where, limits: ReadLimits) -> Iterator[RowBlock]:
    """Yields blocks of compact texts; `where` is called with the index within the block. Raises TooLarge."""
    held: list[bytes] = []
    size = 0
    for text in texts:
        length = len(text) + 1
        if length > limits.max_row_bytes:
            raise TooLarge(f"{where(len(held))} has more than {limits.max_row_bytes} bytes; no row may.")
        if held and size + length > BLOCK_BYTES:
            yield RowBlock(len(held), b"\n".join(held))
            held, size = [], 0
        held.append(text)
        size += length
    if held:
        yield RowBlock(len(held), b"\n".join(held))


def malformed(where: str, error: Exception, text: Any) -> ReplaystackError:
    """Returns the error for a JSON text that msgspec refused."""
    if isinstance(error, RecursionError):
        return _too_deep(where)
    if isinstance(error, UnicodeDecodeError):
        return Invalid(f"{where} is not valid UTF-8 at byte {error.start}.")
    if _HALF_PAIR.search(text):
        # msgspec reports some of them as truncated.
        return Invalid(f"{where} is not valid JSON: a \\u escape is half of a surrogate pair.")
    return Invalid(f"{where} is not valid JSON: {error}.")


def _compact(rows: Iterable[tuple[int, Any]], where: Where, numbers: list[int]) -> Iterator[bytes]:
    for number, row in rows:
        try:
            text: bytes = _format(row, indent=-1)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed(where(number), error, bytes(row)) from None
        if text[0] != 0x7B:
            check_kind(text[:1], where(number))
        numbers.append(number)
        yield text


def check_kind(first: bytes, where: str) -> None:
    """Raises Invalid if a JSON value with this first byte is not an object."""
    if first in _KINDS:
        raise Invalid(f"{where} is {_KINDS[first]}; a row is a JSON object.")


def _check(block: RowBlock, numbers: list[int], where: Where) -> None:
    """Checks what msgspec does not check, for a whole block at once: 2 ms."""
    lines = block.lines
    try:
        lines.decode()
    except UnicodeDecodeError as error:
        number = numbers[lines.count(b"\n", 0, error.start)]
        start = lines.rfind(b"\n", 0, error.start) + 1
        raise Invalid(f"{where(number)} is not valid UTF-8 at its byte {error.start - start}.") from None
    if max(map(len, lines.translate(None, _NOT_OPENING).split(b"\n"))) > MAX_DEPTH:
        for number, text in zip(numbers, lines.split(b"\n"), strict=False):
            if _is_too_deep(text):
                raise _too_deep(where(number))


def _is_too_deep(text: bytes) -> bool:
    nesting = _STRING.sub(b"", text).translate(_ONE_KIND, _NOT_NESTING)
    for _ in range(MAX_DEPTH):
        if not nesting:
            return False
        # Each iteration removes the innermost level.
        nesting = nesting.replace(b"[]", b"")
    return bool(nesting)


def _too_deep(where: str) -> Invalid:
    return Invalid(f"{where} is nested too deeply; at most {MAX_DEPTH} levels are kept.")
