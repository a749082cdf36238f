"""The protocol of a reader of rows, and what it gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from msgspec import Struct


class RowBlock(Struct, frozen=True):
    """Rows as compact JSON text, one object a line, without a line break at the end; `count` of them, never none.

    A block has about 1 MiB; one larger row is a block of its own.
    """

    count: int
    lines: bytes


class SplitBody(Struct, frozen=True):
    """A request body without its rows: `envelope` has `[]` in their place."""

    envelope: bytes
    blocks: Sequence[RowBlock]


class RowReading(Protocol):
    def read(self, uri: str) -> AsyncGenerator[RowBlock, None]:
        """The rows behind a URI. Raises Invalid (400) for what the caller has to change, TooLarge, UpstreamFailed and
        UpstreamTimeout for a remote's fault, Unavailable."""
        ...

    async def split(self, body: bytes, path: tuple[str, ...]) -> SplitBody:
        """Takes the array of rows at `path` out of a JSON body. A body without an array there comes back as it is, for
        the caller's decoding to refuse. Raises Invalid for what is no row."""
        ...

    async def aclose(self, grace_s: float = 0.0) -> None:
        """What is being read gets `grace_s` to finish; then its callers, and those that wait, get Unavailable."""
        ...
