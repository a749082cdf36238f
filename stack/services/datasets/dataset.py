"""Registers, extends and unregisters datasets, and reads the rows of any version."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from itertools import accumulate
from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from projections import dataset as dataset_views
from projections.dataset import Registration
from schemas.api.dataset import Dataset, DataSource, RegisterDatasetRequest, URIDataSource
from schemas.events.base import Damaged, Erased, Event
from schemas.events.dataset import HEAD_ROWS, DatasetRegistered, DatasetUnregistered
from stack.domain import dataset as datasets
from stack.domain.dataset import DatasetState
from stack.errors import (
    Conflict,
    ContentDamaged,
    InternalError,
    Invalid,
    NotFound,
    RowsDamaged,
    VersionConflict,
)
from stack.eventstore import Append, EventStore, Folded, StreamWrite, stream_name
from stack.providers.rows.port import RowReading
from stack.runs.uninterrupted import uninterrupted
from stack.services.datasets.dataset_rows import DatasetRows
from stack.services.datasets.row_chunks import Blocks, digest_of, stored_rows
from stack.services.effects import new_id
from stack.services.requests.caller import Caller
from stack.services.state import States
from stack.services.views import Views

ATTEMPTS = 10
SHOWN_BYTES = 2**20
"""Maximum size in bytes of the first 100 rows that are shown with a dataset."""
MAX_METADATA_BYTES = 64 * 1024

_encode = msgspec.json.Encoder().encode


class DatasetService:
    def __init__(self, store: EventStore, states: States, views: Views, reader: RowReading) -> None:
        self._store = store
        self._states = states
        self._views = views
        self._reader = reader
        self._rows = DatasetRows(store, views)
        # Appends to one dataset are serialised: each records the number of rows before its own.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def register(
        self, request: RegisterDatasetRequest, blocks: Blocks, caller: Caller, command: str
    ) -> str:
        """Returns the dataset's id. `blocks` are the rows of a source of rows; a URI is read here.
        Registering the same dataset again changes nothing. Raises Invalid, Conflict for a different one with
        the same id, and the errors of reading a URI."""
        dataset_id = request.dataset_id if request.dataset_id is not None else new_id()
        datasets.check_id(dataset_id)
        uri = _uri_of(request.source)
        metadata = Raw(_encode(request.metadata or {}))
        if len(bytes(metadata)) > MAX_METADATA_BYTES:
            raise Invalid(f"metadata is larger than {MAX_METADATA_BYTES} bytes. Put the content into rows.")
        wanted = Registration(request.purpose, _provider_of(uri), "", metadata, uri)
        async with AsyncExitStack() as stack:
            if uri:
                blocks = await stack.enter_async_context(aclosing(self._reader.read(uri)))
            registered = await self._registered(dataset_id)
            if registered is not None:
                if not _same(replace(registered, digest=""), wanted):
                    raise _taken(dataset_id)
                if registered.digest != await digest_of(blocks):
                    raise _taken(dataset_id)
                return dataset_id
            rows = await stack.enter_async_context(stored_rows(self._store, blocks))
            events = datasets.register(wanted.purpose, wanted.provider_id, uri, metadata, rows)
            digested = replace(wanted, digest=rows.digest)
            await uninterrupted(self._record(dataset_id, digested, events, caller, command))
        return dataset_id

    async def _record(
        self,
        dataset_id: str,
        wanted: Registration,
        events: Sequence[Event],
        caller: Caller,
        command: str,
    ) -> None:
        for _ in range(ATTEMPTS):
            state, version = await self._states.dataset(dataset_id)
            if state.exists:
                # Another request was faster; a dataset that was already unregistered again does not matter.
                registered = await self._registration(dataset_id)
                if registered is None:
                    continue
                if not _same(registered, wanted):
                    raise _taken(dataset_id)
                return
            write = StreamWrite(stream_name("dataset", dataset_id), version, caller.stamp(events))
            try:
                await self._store.append(Append((write,), command=command))
                return
            except VersionConflict:
                continue
        raise Conflict(f"Dataset {dataset_id!r} is busy with other requests. Try again.")

    async def _registered(self, dataset_id: str) -> Registration | None:
        """Returns how the dataset with this id was registered; None if the id is free. Raises Conflict if
        that event is damaged."""
        state, _ = await self._states.dataset(dataset_id)
        registered = await self._registration(dataset_id) if state.exists else None
        if registered is None and (damage := await self._damage_of_registration(dataset_id)):
            raise Conflict(f"There is a dataset {dataset_id!r} already. {damage} Or unregister it first.")
        return registered

    async def _damage_of_registration(self, dataset_id: str) -> str:
        """Returns why the read model does not know how a dataset was registered; "" without damage."""
        stream = stream_name("dataset", dataset_id)
        damage = ""
        if stream in self._views.failed_streams():
            for recorded in (await self._store.read_streams((stream,)))[stream]:
                match recorded.event:
                    case Damaged(name="dataset.registered"):
                        damage = recorded.event.detail
                    case DatasetRegistered() | DatasetUnregistered():
                        damage = ""
        return damage

    async def append(self, dataset_id: str, blocks: Blocks, caller: Caller, command: str = "") -> int:
        """Adds rows after the last one, all or none. Returns the new version; the current one if there are no
        rows. Raises NotFound."""
        datasets.existing((await self._states.dataset(dataset_id)).state, dataset_id)
        async with stored_rows(self._store, blocks) as rows:
            turn = self._turns.setdefault(dataset_id, asyncio.Lock())
            async with turn:
                for _ in range(ATTEMPTS):
                    state, version = await self._existing(dataset_id)
                    if not rows.row_count:
                        return version
                    events = caller.stamp(datasets.append(state, rows))
                    write = StreamWrite(stream_name("dataset", dataset_id), version, events)
                    try:
                        await uninterrupted(self._store.append(Append((write,), command=command)))
                        return version + 1
                    except VersionConflict:
                        continue
        raise Conflict(f"Dataset {dataset_id!r} is busy with other requests. Try again.")

    async def unregister(self, dataset_id: str, caller: Caller) -> None:
        """Removes the dataset and its content. Raises NotFound."""
        stream = stream_name("dataset", dataset_id)
        for _ in range(ATTEMPTS):
            _, version = await self._existing(dataset_id)
            events, blobs = await self._store.held_by((stream,))
            erased = Erased(events=events, blobs=blobs)
            write = StreamWrite(stream, version, caller.stamp(datasets.unregister(erased)))
            try:
                await self._store.append(Append((write,), redact=(stream,)))
            except VersionConflict:
                continue
            self._rows.forget(dataset_id)
            return
        raise Conflict(f"Dataset {dataset_id!r} is busy: appends come faster than it can be removed.")

    async def show(self, dataset_id: str, as_of: int | None = None) -> Dataset:
        """Returns the dataset, with its first rows if it was made from rows. Raises NotFound."""
        state, version = await self._existing(dataset_id, as_of)
        registered = await self._registration(dataset_id)
        if registered is None:
            damage = await self._damage_of_registration(dataset_id)
            raise ContentDamaged(damage) if damage else _gone(dataset_id)
        shown: list[Raw] = []
        if not registered.uri:
            size = 0
            for row in await self._first_rows(dataset_id, version, min(HEAD_ROWS, state.row_count)):
                size += len(row) + 1
                if size > SHOWN_BYTES:
                    break
                shown.append(Raw(row))
        return dataset_views.dataset(dataset_id, registered, shown)

    async def version(
        self, dataset_id: str, version: int | None = None, as_of: int | None = None
    ) -> tuple[int, int]:
        """Returns the version and its number of rows; the current one by default. Raises NotFound."""
        state, newest = await self._existing(dataset_id, as_of)
        if version is None or version == newest:
            return newest, state.row_count
        return version, await self._rows.row_count(dataset_id, version, newest)

    async def rows(
        self, dataset_id: str, version: int, start: int, limit: int, max_bytes: int | None = None
    ) -> list[bytes]:
        """Returns rows `start` to `start + limit` of a version as JSON texts, at most `max_bytes` but at
        least one. Raises NotFound, also after it was unregistered."""
        found: list[bytes] = []
        async with aclosing(self.pieces(dataset_id, version, start, start + limit, max_bytes)) as pieces:
            async for piece in pieces:
                found.extend(piece)
        return found

    async def pieces(
        self, dataset_id: str, version: int, start: int, stop: int, max_bytes: int | None = None
    ) -> AsyncGenerator[Sequence[bytes], None]:
        """Like `rows`, yielded in parts."""
        left = max_bytes
        _, newest = await self._existing(dataset_id)
        stop = min(stop, (await self.version(dataset_id, version))[1])
        try:
            async with aclosing(self._rows.pieces(dataset_id, newest, start, stop)) as pieces:
                async for piece in pieces:
                    if left is None:
                        yield piece
                        continue
                    fitting = _fitting(piece, left, at_least=1 if left == max_bytes else 0)
                    if fitting:
                        yield piece[:fitting]
                    if fitting < len(piece):
                        return
                    left -= sum(map(len, piece)) + len(piece)
        except InternalError:
            # A missing blob may have been deleted with its dataset a moment ago.
            await self._existing(dataset_id)
            raise

    async def _first_rows(self, dataset_id: str, version: int, count: int) -> list[bytes]:
        """Returns the first rows, without damaged ones."""
        found: list[bytes] = []
        with suppress(RowsDamaged):
            async with aclosing(self.pieces(dataset_id, version, 0, count)) as pieces:
                async for piece in pieces:
                    found.extend(piece)
        return found

    async def _existing(self, dataset_id: str, as_of: int | None = None) -> Folded[DatasetState]:
        folded = await self._states.dataset(dataset_id, as_of)
        datasets.existing(folded.state, dataset_id)
        if folded.state.damage:
            with suppress(NotFound):
                known = await self._rows.row_count(dataset_id, folded.version, folded.version)
                return Folded(replace(folded.state, row_count=known), folded.version)
        return folded

    async def _registration(self, dataset_id: str) -> Registration | None:
        return await self._views.read(("dataset",), dataset_views.registration, dataset_id)


def _uri_of(source: DataSource) -> str:
    """Returns the URI of a source; empty for a source of rows."""
    if not isinstance(source, URIDataSource):
        return ""
    if not source.uri.strip():
        raise Invalid("source.uri is empty; name what is to be read, or send the rows in a source of rows.")
    return source.uri


def _provider_of(uri: str) -> str:
    """Returns the provider id, which clients check."""
    return "huggingface" if uri.lower().startswith("huggingface:") else "localfs"


def _same(one: Registration, other: Registration) -> bool:
    """Returns whether two registrations are equal, ignoring the order of keys in `metadata`."""
    return bool(msgspec.json.decode(_encode(one)) == msgspec.json.decode(_encode(other)))


def _taken(dataset_id: str) -> Conflict:
    return Conflict(
        f"There is another dataset {dataset_id!r}: purpose, source, rows or metadata differ. Choose another "
        "dataset_id, append to that one, or unregister it first."
    )


def _gone(dataset_id: str) -> NotFound:
    return NotFound(f"Dataset {dataset_id!r} no longer exists: it was unregistered.")


def _fitting(rows: Sequence[bytes], max_bytes: int, at_least: int) -> int:
    """Returns how many of the first rows have at most `max_bytes` including the commas between them."""
    if sum(map(len, rows)) + len(rows) <= max_bytes:
        return len(rows)
    sizes = accumulate(len(row) + 1 for row in rows)
    return max(at_least, bisect_right(list(sizes), max_bytes))
