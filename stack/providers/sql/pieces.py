"""A result as it is sent: its head, and the pieces of its body."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from stack.providers.sql.tasks import Head

PIECE_BYTES = 2**20


class Result(Struct, frozen=True):
    head: Head
    pieces: list[Any]


class Pieces:
    """A file that is only written, in memory."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.size = 0

    def write(self, part: Any) -> int:
        piece = bytes(part)
        self.written.append(piece)
        self.size += len(piece)
        return len(piece)

    def taken(self) -> list[bytes]:
        """Returns the parts, which are not kept; their size still counts."""
        parts, self.written = self.written, []
        return parts

    def cut(self, count: int) -> None:
        """Keeps the first `count` parts."""
        self.size -= sum(map(len, self.written[count:]))
        del self.written[count:]


def split(parts: list[bytes]) -> list[Any]:
    """Returns large parts in several pieces, without copying them."""
    return [
        memoryview(part)[at : at + PIECE_BYTES] for part in parts for at in range(0, len(part), PIECE_BYTES)
    ]
