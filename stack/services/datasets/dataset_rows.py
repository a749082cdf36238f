"""Reads the rows of datasets from blobs and events, as text, one chunk at a time.

The read model determines which chunk contains which rows; that index is kept in memory for the datasets in
use, as are the last chunks that were read: consecutive pages of one dataset need no further queries or files.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from operator import attrgetter
from typing import NamedTuple

from cachetools import LRUCache
from msgspec import Raw, Struct
from msgspec.json import Decoder

from projections import dataset as dataset_views
from projections.dataset import Chunk
from schemas.events.dataset import DatasetRegistered, DatasetRowsAppended
from stack.errors import InternalError, NotFound, RowsDamaged
from stack.eventstore import EventStore, Recorded, stream_name
from stack.off_loop import off_loop_if
from stack.services.views import Views

MAX_INDEXED_CHUNKS = 500_000
MAX_CACHED_BYTES = 32 * 2**20
RUN_EVENTS = 64
"""Number of chunks in events that are read together: at most 4 MiB of rows."""

_UNREADABLE = "Their event is damaged: `replaystack verify` lists all damage; restore a backup."
# Each row in memory is a separate object.
_ROW_BYTES = 33

_rows = Decoder(list[Raw])


class Index(Struct, frozen=True):
    """The chunks of a dataset up to `version`, in order. `starts` are their first rows, `row_counts` the
    number of rows in each version."""

    version: int
    chunks: list[Chunk]
    starts: list[int]
    row_counts: dict[int, int]


def _chunk_count(index: Index) -> int:
    """Returns the size of an index for the cache: even the largest one is kept, alone."""
    return min(len(index.chunks), MAX_INDEXED_CHUNKS)


class _Lines(NamedTuple):
    """The rows of a blob, and their approximate memory in bytes, at most the size of the cache."""

    rows: list[bytes]
    size: int


class DatasetRows:
    """Used on the event loop; files and queries are read in threads."""

    def __init__(self, store: EventStore, views: Views) -> None:
        self._store = store
        self._views = views
        self._indexes: LRUCache[str, Index] = LRUCache(MAX_INDEXED_CHUNKS, _chunk_count)
        self._cached: LRUCache[str, _Lines] = LRUCache(MAX_CACHED_BYTES, attrgetter("size"))

    async def row_count(self, dataset_id: str, version: int, newest: int) -> int:
        """Returns the number of rows in `version`; `newest` is the current version. Raises NotFound for a later version,
        and for one that the dataset has not had since it was registered."""
        index = await self._index(dataset_id, newest)
        count = index.row_counts.get(version) if version <= newest else None
        if count is None:
            known = f"{min(index.row_counts, default=0)} to {newest}"
            raise NotFound(f"Dataset {dataset_id!r} has no version {version}; it has versions {known}.")
        return count

    async def pieces(
        self, dataset_id: str, newest: int, start: int, stop: int
    ) -> AsyncGenerator[Sequence[bytes], None]:
        """Yields rows `start` to `stop`, which must exist, as JSON texts, those of one chunk or of several
        small chunks at a time. Raises NotFound if the dataset is unregistered, and RowsDamaged for a chunk
        that cannot be read."""
        index = await self._index(dataset_id, newest)
        at = max(0, bisect_right(index.starts, start) - 1)
        while start < stop and at < len(index.chunks):
            run = self._run(index, at, stop)
            if run[0].first_row > start:
                # The read model skipped an event that it could not apply.
                raise RowsDamaged(dataset_id, start, run[0].first_row - start, _UNREADABLE)
            try:
                rows = await self._read(dataset_id, run)
            except InternalError as error:
                run = run[:1]
                try:
                    rows = await self._read(dataset_id, run)
                except InternalError:
                    raise RowsDamaged(dataset_id, run[0].first_row, run[0].count, error.detail) from error
            first = run[0].first_row
            piece = rows[start - first : stop - first]
            if piece:
                yield piece
            start = first + len(rows)
            at += len(run)
        if start < stop:
            raise RowsDamaged(dataset_id, start, stop - start, _UNREADABLE)

    def forget(self, dataset_id: str) -> None:
        """Must be called after the dataset was unregistered: none of its content may be shown."""
        index = self._indexes.pop(dataset_id, None)
        for chunk in index.chunks if index is not None else ():
            self._cached.pop(chunk.blob, None)

    async def _index(self, dataset_id: str, newest: int) -> Index:
        known = self._indexes.get(dataset_id)
        if known is not None and known.version >= newest:
            return known
        after = known.version if known is not None else 0
        added, versions = await self._views.read(("dataset",), dataset_views.chunks, dataset_id, after)
        if known is not None and self._indexes.get(dataset_id) is not known:
            # Another reader extended it, or it was unregistered: the chunks read here may not follow it.
            return await self._index(dataset_id, newest)
        chunks = [*(known.chunks if known else ()), *added]
        version = versions[-1][0] if versions else after
        if version < newest:
            if stream_name("dataset", dataset_id) not in self._views.failed_streams():
                raise NotFound(f"Dataset {dataset_id!r} no longer exists: it was unregistered.")
            version = newest  # its last events are damaged, and not in the read model
        index = Index(
            version,
            chunks,
            [chunk.first_row for chunk in chunks],
            (known.row_counts if known else {}) | dict(versions),
        )
        self._indexes[dataset_id] = index
        return index

    def _run(self, index: Index, at: int, stop: int) -> list[Chunk]:
        """Returns the chunk at `at`, and following ones in events that can be read with it."""
        run = [index.chunks[at]]
        while (
            not run[-1].blob
            and len(run) < RUN_EVENTS
            and at + len(run) < len(index.chunks)
            and not (following := index.chunks[at + len(run)]).blob
            and following.first_row == run[-1].first_row + run[-1].count
            and following.first_row < stop
        ):
            run.append(following)
        return run

    async def _read(self, dataset_id: str, run: list[Chunk]) -> list[bytes]:
        [first, *_] = run
        rows = await self._of_blob(first.blob) if first.blob else await self._of_events(dataset_id, run)
        if len(rows) != sum(chunk.count for chunk in run):
            raise InternalError(f"Rows of dataset {dataset_id!r} are not what their event says.")
        return rows

    async def _of_events(self, dataset_id: str, run: list[Chunk]) -> list[bytes]:
        stream = stream_name("dataset", dataset_id)
        recorded = await self._store.read_stream(stream, run[0].version - 1, run[-1].version)
        if any(not isinstance(one.event, DatasetRegistered | DatasetRowsAppended) for one in recorded):
            raise NotFound(f"Dataset {dataset_id!r} no longer exists: it was unregistered.")
        return await off_loop_if(sum(chunk.count for chunk in run) > 1_000, _rows_of, recorded)

    async def _of_blob(self, digest: str) -> list[bytes]:
        lines = self._cached.get(digest)
        if lines is None:
            lines = await asyncio.to_thread(self._lines, digest)
            self._cached[digest] = lines
        return lines.rows

    def _lines(self, digest: str) -> _Lines:
        content = self._store.blob(digest)
        rows = content.split(b"\n")
        return _Lines(rows, min(len(content) + _ROW_BYTES * len(rows), MAX_CACHED_BYTES))


def _rows_of(recorded: Sequence[Recorded]) -> list[bytes]:
    rows: list[bytes] = []
    for _, _, _, event in recorded:
        if isinstance(event, DatasetRegistered | DatasetRowsAppended):
            rows.extend([bytes(row) for row in _rows.decode(event.chunks[0].rows)])
    return rows
