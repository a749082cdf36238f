"""Stores new rows for an event: small ones in the event itself, all others in blobs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from msgspec import Raw

from schemas.events.dataset import HEAD_ROWS, RowChunk
from stack.domain import dataset as datasets
from stack.domain.dataset import NewRows
from stack.errors import TooLarge
from stack.eventstore import EventStore
from stack.off_loop import off_loop_if
from stack.providers.rows.port import RowBlock

MAX_CHUNKS = 100_000
"""Maximum number of chunks of one change, all of which its event names: 100 GiB of rows."""

Blocks = AsyncIterator[RowBlock] | Iterable[RowBlock]


@asynccontextmanager
async def stored_rows(store: EventStore, blocks: Blocks) -> AsyncIterator[NewRows]:
    """Stores the rows, except those that are part of the event. Blobs are held while the block runs: record
    the event in it; if it raises, they are released. Raises the errors of `blocks`, TooLarge and
    Unavailable."""
    writer = _Writer(store)
    try:
        yield await writer.rows(blocks)
    except BaseException:
        store.discard_blobs(writer.held)
        raise
    store.release_blobs(writer.held)


async def digest_of(blocks: Blocks) -> str:
    """Returns the SHA-256 (hex) of the rows, one per line."""
    digest = _RowsDigest()
    async for block in _each(blocks):
        await digest.add(block.lines)
    return digest.hex


class _Writer:
    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._digest = _RowsDigest()
        self._chunks: list[RowChunk] = []
        self._row_count = 0
        self._first: RowBlock | None = None
        self.held: list[str] = []

    async def rows(self, blocks: Blocks) -> NewRows:
        async for block in _each(blocks):
            await self._digest.add(block.lines)
            if self._first is None:
                self._first = block
            elif self._chunks:
                await self._store_block(block)
            else:
                await self._store_block(self._first)
                await self._store_block(block)
            self._row_count += block.count
        head = Raw(b"[]")
        first = self._first
        if first is not None and not self._chunks:
            if len(first.lines) <= datasets.INLINE_BYTES:
                rows = Raw(b"[%b]" % first.lines.replace(b"\n", b","))
                self._chunks.append(RowChunk(first.count, len(first.lines), "", rows))
                return NewRows(self._row_count, self._digest.hex, self._chunks, head)
            await self._store_block(first)
        if first is not None:
            head = datasets.head_of(first.lines.split(b"\n", HEAD_ROWS)[:HEAD_ROWS])
        return NewRows(self._row_count, self._digest.hex, self._chunks, head)

    async def _store_block(self, block: RowBlock) -> None:
        if len(self._chunks) >= MAX_CHUNKS:
            raise TooLarge(f"The rows make more than {MAX_CHUNKS} chunks. Send less at a time.")
        digest = await self._store.put_blob(block.lines)
        self.held.append(digest)
        self._chunks.append(RowChunk(block.count, len(block.lines), digest))


class _RowsDigest:
    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._begun = False

    @property
    def hex(self) -> str:
        return self._sha256.hexdigest()

    async def add(self, lines: bytes) -> None:
        if self._begun:
            self._sha256.update(b"\n")
        self._begun = True
        await off_loop_if(len(lines) > datasets.INLINE_BYTES, self._sha256.update, lines)


async def _each(blocks: Blocks) -> AsyncIterator[RowBlock]:
    if isinstance(blocks, AsyncIterator):
        async for block in blocks:
            yield block
    else:
        for block in blocks:
            yield block
