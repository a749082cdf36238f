"""The events of the log in pages, and as a stream that continues with what is recorded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from projections.warehouse.feed import DAMAGED, Feed, Record
from projections.warehouse.reader import rfc3339
from schemas.api.event import LogEvent
from stack.domain.event_filter import EventFilter, event_filter
from stack.domain.stream_position import StreamPosition
from stack.errors import Invalid
from stack.eventstore import EventStore
from stack.eventstore.codec import REDACTED_STATE
from stack.eventstore.damage import NOT_RECORDED
from stack.eventstore.port import NamedRecords
from stack.eventstore.streams import DEFAULT_TENANT
from stack.runs.live import Frame

READ_EVENTS = 500
READ_BYTES = 512 * 1024
"""The number of events, or of their bytes, that ends one read: it takes a few ms."""
SCANNED_EVENTS = 20_000
"""Number of events among which one read looks for those that a filter selects."""
PAGE_S = 5.0
"""Time after which a page ends although it is not full: its filter selects few of very many events."""
LINGER_S = 0.01
"""How long a follower waits for further events after one was recorded."""

_TENANT = f"{DEFAULT_TENANT}/"
_VERSION = re.compile(r"\.[0-9]+$")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Read(NamedTuple):
    """The JSON of events with their positions, and the position through which the log was read for them."""

    rows: list[tuple[int, bytes]]
    through: int


class LogEvents:
    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._names = store.feed.names()

    def filter(self, stream: str, names: Iterable[str]) -> EventFilter:
        """Returns a filter; see `event_filter`. Raises Invalid."""
        return event_filter(stream, names, self._names)

    def check_position(self, after: int, name: str) -> int:
        """Returns the position. Raises Invalid if it is after the end of the log."""
        if after > (head := self._store.head()):
            raise Invalid(
                f"{name} is {after}, and the log ends at {head}: the position is from another log, or the log was restored "
                "from a backup. Read it again from a position that it has."
            )
        return after

    def head(self) -> int:
        return self._store.head()

    async def page(self, wanted: EventFilter, after: int, limit: int, max_bytes: int) -> bytes:
        """Returns events after a position as the JSON of a `LogEventPage`: at most `limit`, and about `max_bytes`, at least
        one if there is one. Raises Unavailable."""
        head = self._store.head()
        rows: list[bytes] = []
        size, last, through = 0, after, after
        now_s = asyncio.get_running_loop().time
        ends_s = now_s() + PAGE_S
        while through < head and now_s() < ends_s:
            found = await self.read(wanted, through, limit + 1 - len(rows))
            for position, row in found.rows:
                if rows and (len(rows) == limit or size + len(row) > max_bytes):
                    return _page(rows, last, True, head)
                rows.append(row)
                size += len(row)
                last = position
            through = found.through
        return _page(rows, through, through < head, head)

    async def read(self, wanted: EventFilter, after: int, limit: int = READ_EVENTS) -> Read:
        """Returns some events after a position, at most `limit`. Raises Unavailable."""
        head = self._store.head()
        scans = (wanted.names or wanted.category) and not wanted.stream
        selection = NamedRecords(
            after + 1,
            min(head, after + SCANNED_EVENTS) if scans else head,
            min(limit, READ_EVENTS),
            wanted.names,
            f"{_TENANT}{wanted.stream}" if wanted.stream else "",
            f"{_TENANT}{wanted.category}/" if wanted.category else "",
            READ_BYTES,
        )
        recent = self._store.feed.recent(selection)
        if recent is not None:
            return _read(selection, recent)
        return await self._store.in_thread(lambda: _read(selection, self._store.feed.selected(selection)))

    def follow(self, wanted: EventFilter, after: int) -> EventFollower:
        """Returns a follower of the events after a position. It has no queue: it reads from the log."""
        return EventFollower(partial(self.read, wanted), self._store.feed, after)


class EventFollower:
    """The position of one reader in the log; used as a `Follower`. It ends only when its reader leaves."""

    def __init__(self, read: Callable[[int], Awaitable[Read]], feed: Feed, after: int) -> None:
        self._read = read
        self._feed = feed
        self._through = after
        self._recorded = asyncio.Event()
        self._unsubscribe: Callable[[], None] | None = None
        self.ended = False

    def leave(self) -> None:
        """Called when the reader has left: ends `next`."""
        self.ended = True
        self._recorded.set()
        if self._unsubscribe is not None:
            self._unsubscribe()

    async def next(self, timeout_s: float) -> list[Frame]:
        """Returns some events since the last call, and waits if there are none; empty if the time is up, also while it
        looks for events that a filter selects."""
        now_s = asyncio.get_running_loop().time
        ends_s = now_s() + timeout_s
        if self._unsubscribe is None and not self.ended:
            self._unsubscribe = self._feed.subscribe(self._waker())
        while not self.ended:
            self._recorded.clear()
            if self._through < self._feed.head():
                found = await self._read(self._through)
                self._through = found.through
                if found.rows:
                    return [_frame(position, row) for position, row in found.rows]
                if now_s() >= ends_s:
                    return []
            elif not await self._wait(ends_s - now_s()):
                return []
        return []

    def _waker(self) -> Callable[[int], None]:
        loop = asyncio.get_running_loop()

        def wake(head: int) -> None:
            loop.call_soon_threadsafe(self._recorded.set)

        return wake

    async def _wait(self, timeout_s: float) -> bool:
        """Returns False if nothing was recorded in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._recorded.wait()
                await asyncio.sleep(LINGER_S)
        except TimeoutError:
            return self._recorded.is_set()
        return True


def _frame(position: int, row: bytes) -> Frame:
    return Frame(StreamPosition(position, 0), 0, b"id: %d\ndata: %b\n\n" % (position, row))


def _page(rows: Iterable[bytes], next: int, has_more: bool, head: int) -> bytes:
    rest = {"next": next, "has_more": has_more, "head": head}
    return b'{"data":[%b],%b' % (b",".join(rows), _encode(rest)[1:])


def _read(selection: NamedRecords, records: Sequence[Record]) -> Read:
    size = sum([len(record.state) for record in records])
    is_full = len(records) >= selection.limit or size >= selection.max_bytes
    through = records[-1].position if is_full else selection.last
    return Read([(record.position, _row(record)) for record in records], through)


def _row(record: Record) -> bytes:
    """Returns the JSON of a `LogEvent`."""
    event = LogEvent(
        position=record.position,
        stream=record.stream.removeprefix(_TENANT),
        version=record.version,
        name=_VERSION.sub("", record.name),
        recorded_at=rfc3339(record.recorded_at),
    )
    if record.state == REDACTED_STATE:
        return _encode(replace(event, deleted=True))
    content = _content(record)
    if content is None:
        damage = NOT_RECORDED if record.state == DAMAGED else "its content is not JSON"
        return _encode(replace(event, damage=damage))
    return b'%b,"event":%b}' % (_encode(event)[:-1], content)


def _content(record: Record) -> bytes | None:
    """Returns the JSON of an event without its stored name, None if it is not JSON. It is not parsed: the name comes
    first."""
    state, tag = record.state, b'{"event":"%b"' % record.name.encode()
    if state.startswith(tag):
        return b"{%b" % state[len(tag) :].removeprefix(b",")
    try:
        fields = _decode(state)
    except msgspec.DecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    fields.pop("event", None)
    return _encode(fields)
