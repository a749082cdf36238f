"""Content for the parsers without a process, and what they make of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from stack.providers.rows.content import Content
from stack.providers.rows.port import RowBlock
from stack.providers.rows.settings import ReadLimits
from stack.workers.descriptor import Descriptor, of_bytes

_held: list[Descriptor] = []


def content_of(data: bytes | str, shown: str = "the file", **limits: Any) -> Content:
    """`data` behind a descriptor that stays open until the next one is made."""
    _held[:] = [of_bytes(data.encode() if isinstance(data, str) else data)]
    return Content(_held[0].number, shown, ReadLimits(**limits))


def texts(blocks: Iterable[RowBlock]) -> list[bytes]:
    """The rows of blocks, each checked to be what a block says that it is."""
    rows: list[bytes] = []
    for block in blocks:
        lines = block.lines.split(b"\n")
        assert len(lines) == block.count > 0
        assert len(block.lines) <= 2**20 or block.count == 1
        rows += lines
    return rows


def values(blocks: Iterable[RowBlock]) -> list[Any]:
    return [msgspec.json.decode(row) for row in texts(blocks)]
