"""The event store: append, load, read, follow. All events are written and read through it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from projections.warehouse.feed import DAMAGED, Record, unversioned
from schemas.events.base import Damaged
from stack.errors import ContentDamaged, InternalError, ReplaystackError, TooLarge, Unavailable
from stack.eventstore.appends import Append, Appended, Command, Fold, Folded, Recorded
from stack.eventstore.blob_markers import dehydrate, hydrated_bytes, may_need_markers
from stack.eventstore.blobs import BlobStore
from stack.eventstore.codec import Codec, check_text
from stack.eventstore.damage import NOT_RECORDED, event_damaged
from stack.eventstore.fold_cache import FoldCache
from stack.eventstore.log_feed import LogFeed
from stack.eventstore.named_blobs import named_blobs
from stack.eventstore.port import EventLog
from stack.eventstore.stored_content import StoredContent
from stack.eventstore.submission import Conflict, NewRow, Submission
from stack.off_loop import off_loop_if

_log = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S")

DEFAULT_CACHE_BYTES = 64 * 2**20
MAX_EVENT_BYTES = 64 * 2**20
# For larger content, in bytes, the search for long strings runs in a thread; for smaller, a thread costs
# more.
_SCAN_INLINE_BYTES = 32 * 1024
_READ_THREADS = 4
# More events, as of an imported session, are encoded in a thread: about 5 us each.
_ENCODE_INLINE_EVENTS = 200


class EventStore:
    """Open one per data folder and process. The coroutines may be awaited on any event loop."""

    def __init__(
        self, log: EventLog, blobs: BlobStore, cache_bytes: int, *, keep_unnamed_blobs: bool
    ) -> None:
        """`log` must not be started yet, and is closed with the store. Raises Unavailable if it cannot be
        read."""
        self.log = log
        self.epoch = log.epoch
        self.blobs = blobs
        self._codec = Codec()
        self._content = StoredContent(blobs, log.referenced, log.damage)
        self.feed = LogFeed(log, self._codec, self.others_wrote)
        self._cache = FoldCache(cache_bytes)
        self._threads = ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="eventstore-read")
        self._closed = False
        self.on_redaction: Callable[[], None] = lambda: None
        """Called after each append that redacted, on the event loop of its caller."""
        log.start(self)
        if not keep_unnamed_blobs:
            self._threads.submit(self._content.sweep, lambda: self._closed)

    async def append(self, append: Append) -> Appended:
        """Records the events; durable on return. A caller that is cancelled in the meantime does not know
        whether they were recorded. Raises VersionConflict, CommandKnown, Invalid, TooLarge, and Unavailable
        (disk full or failing, too many waiting, closed)."""
        if not append.redact and (trouble := self.log.trouble()):
            raise Unavailable(f"{trouble} Nothing was stored.", retry_after=5)
        count = sum([len(write.events) for write in append.writes])
        submission = await off_loop_if(count > _ENCODE_INLINE_EVENTS, self._encode, append)
        if any(map(may_need_markers, [row.state for row in submission.rows])):
            await self._extract_blobs(submission)
        largest = max([len(row.state) for row in submission.rows])
        if largest > MAX_EVENT_BYTES:
            self._release(submission)
            raise TooLarge(
                f"One event has {largest} bytes; at most {MAX_EVENT_BYTES} can be recorded at once."
            )
        submission.loop = asyncio.get_running_loop()
        future: asyncio.Future[Appended] = submission.loop.create_future()
        submission.future = future
        try:
            self.log.submit(submission)
        except ReplaystackError:
            self._release(submission)
            raise
        appended = await future
        if append.redact:
            self.on_redaction()
        return appended

    async def load(self, stream: str, fold: Fold[S]) -> Folded[S]:
        """Returns the stream's state; `fold.initial` at version 0 if it does not exist. No I/O for a stream
        in use. Raises ContentDamaged, unless the fold takes damaged events."""
        return self._cache.get(stream, fold) or await self.load_fresh(stream, fold)

    async def load_fresh(self, stream: str, fold: Fold[S], as_of: int | None = None) -> Folded[S]:
        """Returns the stream's state from the log, bypassing the cache: after all of its events, or after those with
        positions up to `as_of`. Raises the errors of `load`."""
        if as_of is None:
            return await self.in_thread(partial(self._load, stream, fold))
        return (await self.in_thread(partial(self._fold, stream, fold, as_of)))[0]

    async def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        until_version: int | None = None,
        *,
        takes_damaged: bool = False,
    ) -> list[Recorded]:
        """Returns the events with versions greater than `after_version`, up to and including `until_version`
        (None: the last). With `takes_damaged`, `Damaged` replaces those that cannot be read; otherwise they
        raise ContentDamaged."""
        return await self.in_thread(
            lambda: self.events(stream, after_version, until_version, takes_damaged=takes_damaged)
        )

    def events(
        self,
        stream: str,
        after_version: int = 0,
        until_version: int | None = None,
        *,
        takes_damaged: bool = False,
    ) -> list[Recorded]:
        """As `read_stream`. Blocks; for work in `in_thread`."""
        try:
            found = self.log.stream(stream, after_version, until_version)
            return [self._recorded(record) for record in found]
        except ContentDamaged:
            if not takes_damaged:
                raise
        events = self._read_streams((stream,))[stream]
        last = until_version if until_version is not None else len(events)
        return [one for one in events if after_version < one.version <= last]

    async def read_streams(self, streams: Sequence[str]) -> dict[str, list[Recorded]]:
        """Returns the events of each of `streams`; an empty list for one that does not exist. `Damaged`
        replaces those that cannot be read."""
        if not streams:
            return {}
        return await self.in_thread(partial(self._read_streams, streams))

    async def stored_streams(self, streams: Sequence[str]) -> list[Record]:
        """Returns the events of `streams` as stored, by stream and version: long strings are markers that name blobs, and
        a damaged event has `DAMAGED` as its content."""
        return await self.in_thread(partial(self.log.streams, streams))

    async def names_in(self, streams: Sequence[str]) -> set[str]:
        """Returns the names of the events of these streams, as stored."""
        return await self.in_thread(partial(self.log.names_in, streams))

    async def held_by(self, streams: Sequence[str]) -> tuple[int, int]:
        """Returns how many events of these streams have content, and how many blobs they name: what redacting
        removes."""
        return await self.in_thread(partial(self.log.held_by, streams))

    def is_tidy(self) -> bool:
        """Returns whether redacted content has left the files of the log, and its blobs are deleted."""
        return self.log.is_tidy()

    async def find_command(self, prefix: str, since_us: int = 0) -> Command | None:
        """Returns the newest command whose id begins with `prefix`, recorded at or after `since_us`."""
        check_text(prefix)
        return await self.in_thread(partial(self.log.command, prefix, since_us))

    def trouble(self) -> str:
        """Returns why only deletions are recorded, empty if everything is."""
        return self.log.trouble()

    def head(self) -> int:
        """Returns the last committed position. No I/O."""
        return self.feed.head()

    def damage(self) -> tuple[str, ...]:
        """Describes the known problems of the log: found at opening in its newest events, or later by
        readers. No I/O."""
        return self.log.damage.problems()

    async def position_at(self, time_us: int) -> int:
        """Returns the last position that was recorded at or before this time (microseconds since 1970); 0 if none was."""
        return await self.in_thread(partial(self.log.position_at, time_us))

    def category_head(self, category: str) -> int:
        """Returns the last position of a category, or a later one. No I/O."""
        return self.log.category_head(category)

    async def put_blob(self, content: bytes) -> str:
        """Stores content that an event is going to name, durable on return; returns its digest. It is held
        until `release_blobs` (the event is recorded) or `discard_blobs` (it will not be). Raises
        Unavailable."""
        work = self._submit(partial(self.blobs.put, content))
        try:
            return str(await asyncio.shield(asyncio.wrap_future(work)))
        except asyncio.CancelledError:
            work.add_done_callback(self._release_put)
            raise

    def release_blobs(self, digests: Sequence[str]) -> None:
        self.blobs.release(digests)

    def discard_blobs(self, digests: Sequence[str]) -> None:
        """Releases blobs and deletes, after some time, those that no event names."""
        self.blobs.release(digests)
        if digests and not self._closed:
            self._submit(partial(self._content.remove_unnamed, digests))

    async def remove_unnamed_blobs(self) -> None:
        """Deletes all blobs that no event names, except those of running appends."""
        await self.in_thread(lambda: self._content.sweep(lambda: self._closed, with_young=True))

    def hydrate(self, state: bytes) -> bytes:
        """Returns a stored event's JSON, or a part of it, with its long strings restored; `damaged_text`
        replaces one whose blob is missing or damaged. Reads files if there are any. Raises Unavailable."""
        return self._content.hydrate(state)

    def blob(self, digest: str) -> bytes:
        """Returns the content of a blob that an event names. Blocks. Raises InternalError if it is missing or
        damaged, NotFound if it was just deleted, and Unavailable."""
        return self._content.blob(digest)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Returns the result of work that reads the log, done in one of four threads. It must be short: loads of streams
        use these threads too."""
        return await asyncio.wrap_future(self._submit(work))

    def close(self) -> None:
        """Records what was accepted, then ends all threads and connections. Blocks; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self.log.stop()
        self.feed.close()
        self._threads.shutdown(wait=True)
        self.log.close()

    def _encode(self, append: Append) -> Submission:
        rows: list[NewRow] = []
        blobs: list[tuple[int, str]] = []
        expected: list[tuple[str, int]] = []
        encode = self._codec.encode
        for stream, version, events in append.writes:
            expected.append((stream, version))
            for event in events:
                version += 1
                blobs.extend([(len(rows), digest) for digest in named_blobs(event)])
                rows.append(NewRow(stream, version, *encode(event)))
        if not rows:
            raise ValueError("an append needs an event")
        if len(expected) > 1 and len({stream for stream, _ in expected}) < len(expected):
            raise ValueError("an append writes each stream once")
        if append.expects:
            expected.extend([(stream, version) for stream, version in append.expects])
        check_text("".join([append.command, *append.redact, *[stream for stream, _ in expected]]), "An id")
        submission = Submission(rows, expected, append)
        if blobs:
            submission.blobs = blobs
            self.blobs.hold([digest for _, digest in blobs])
        return submission

    async def _extract_blobs(self, submission: Submission) -> None:
        """Moves long strings to blobs. Its thread continues if the caller is cancelled; its blobs are
        released then."""
        if submission.size <= _SCAN_INLINE_BYTES:
            self._dehydrate(submission)
            return
        work = self._submit(partial(self._dehydrate, submission))
        try:
            await asyncio.shield(asyncio.wrap_future(work))
        except asyncio.CancelledError:
            work.add_done_callback(lambda _: self._release(submission))
            raise

    def _dehydrate(self, submission: Submission) -> None:
        try:
            for index, row in enumerate(submission.rows):
                if may_need_markers(row.state):

                    def store(content: bytes, index: int = index) -> str:
                        digest = self.blobs.put(content)
                        submission.blobs.append((index, digest))
                        return digest

                    submission.rows[index] = row._replace(state=dehydrate(row.state, store))
        except BaseException:
            self._release(submission)
            raise
        submission.size = sum([len(row.state) for row in submission.rows])

    def _release_put(self, work: Future[str]) -> None:
        if work.exception() is None:
            self.blobs.release((work.result(),))

    def _release(self, submission: Submission) -> None:
        digests = [digest for _, digest in submission.blobs]
        submission.blobs = []
        self.blobs.release(digests)

    def _load(self, stream: str, fold: Fold[S]) -> Folded[S]:
        with self._cache.loading(stream) as loading:
            folded, size = self._fold(stream, fold)
            self._cache.put(stream, fold, folded, size, loading)
            return folded

    def _fold(self, stream: str, fold: Fold[S], as_of: int | None = None) -> tuple[Folded[S], int]:
        last = 1 if fold.last_only else None
        try:
            records = self.log.stream(stream, as_of=as_of, newest_first=fold.last_only, limit=last)
            return _folded(fold, records, self._recorded)
        except ContentDamaged:
            if not fold.takes_damaged:
                raise
            records = [one for one in self.log.streams((stream,)) if as_of is None or one.position <= as_of]
            return _folded(fold, records, self._recorded_or_damaged)

    def _read_streams(self, streams: Sequence[str]) -> dict[str, list[Recorded]]:
        found: dict[str, list[Recorded]] = {stream: [] for stream in streams}
        for record in self.log.streams(streams):
            found[record.stream].append(self._recorded_or_damaged(record))
        return found

    def _recorded(self, record: Record) -> Recorded:
        """Raises ContentDamaged."""
        if record.state == DAMAGED:
            raise event_damaged(record.position, record.stream, record.name, NOT_RECORDED)
        try:
            event = self._codec.decode(record.name, record.state, self.hydrate)
        except InternalError as error:
            reason = error.detail.removesuffix(".")
            self.log.damage.note(f"event {record.position}: {reason}")
            raise event_damaged(record.position, record.stream, record.name, reason) from error
        return Recorded(record.position, record.version, event.occurred_at or record.recorded_at, event)

    def _recorded_or_damaged(self, record: Record) -> Recorded:
        try:
            return self._recorded(record)
        except ContentDamaged as error:
            event = Damaged(name=unversioned(record.name), detail=error.detail)
            return Recorded(record.position, record.version, record.recorded_at, event)

    def committed(self, submissions: Sequence[Submission], records: Sequence[Record] | None) -> None:
        """See `Commits`."""
        self.feed.committed(records)
        head = 0
        for submission in submissions:
            append, outcome = submission.append, submission.outcome
            if isinstance(outcome, Conflict):
                # The caller that decided on that state must see the current stream.
                self._cache.forget(outcome.stream)
            elif isinstance(outcome, Appended):
                head = outcome.last
                if append is not None:
                    self._follow(submission, append, outcome)
                else:
                    for row in submission.rows:
                        self._cache.forget(row.stream)
        self.feed.advance(head)

    def announce(self) -> None:
        """See `Commits`."""
        self.feed.announce()

    def others_wrote(self) -> None:
        """See `Commits`."""
        self._cache.clear()
        self.feed.committed(None)

    def _follow(self, submission: Submission, append: Append, outcome: Appended) -> None:
        first = 0
        for write in append.writes:
            last = first + len(write.events)
            if write.events and write.stream not in append.redact:
                size = sum([hydrated_bytes(row.state) for row in submission.rows[first:last]])
                self._cache.forward(write, outcome.recorded_at[first:last], size)
            first = last
        for stream in append.redact:
            self._cache.forget(stream)

    def _submit(self, work: Callable[[], Any]) -> Future[Any]:
        try:
            return self._threads.submit(work)
        except RuntimeError:
            raise Unavailable("The server is shutting down.", retry_after=5) from None


def _folded(
    fold: Fold[S], records: Sequence[Record], recorded: Callable[[Record], Recorded]
) -> tuple[Folded[S], int]:
    """Returns the state, and its size in bytes for the cache."""
    folded, size = Folded(fold.initial, 0), 0
    for record in records:
        last = recorded(record)
        state = fold.evolve(folded.state, last.event, last.recorded_at, last.version)
        folded = Folded(state, last.version)
        size += 0 if fold.last_only else hydrated_bytes(record.state)
    return folded, size
