"""The protocol of a reader of rows, and its results."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from msgspec import Struct


class RowBlock(Struct, frozen=True):
    """Rows as compact JSON text, one object per line, without a final line break; `count` of them, at least
    one.

    A block has about 1 MiB; a single larger row is a block of its own.
    """

    count: int
    lines: bytes


class SplitBody(Struct, frozen=True):
    """A request body without its rows: `envelope` has `[]` in their place."""

    envelope: bytes
    blocks: Sequence[RowBlock]


class RowReading(Protocol):
    def read(self, uri: str) -> AsyncGenerator[RowBlock, None]:
        """Yields the rows of a URI. Raises Invalid (400) for errors of the caller, TooLarge, UpstreamFailed
        and UpstreamTimeout for failures of a remote server, Unavailable."""
        ...

    async def split(self, body: bytes, path: tuple[str, ...]) -> SplitBody:
        """Extracts the array of rows at `path` from a JSON body. A body without an array there is returned
        unchanged, so that the caller's decoding refuses it. Raises Invalid for elements that are not rows."""
        ...

    async def aclose(self, grace_s: float = 0.0) -> None:
        """Waits `grace_s` seconds for running reads to finish; then their callers, and waiting ones, receive
        Unavailable."""
        ...
