"""The event store: append, load, read, follow. The one door through which events come and go."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from projections.warehouse.feed import Feed, Record
from schemas.events.base import Damaged
from stack.errors import InternalError, Invalid, ReplaystackError, TooLarge, Unavailable
from stack.eventstore import sqlite_schema
from stack.eventstore.appends import Append, Appended, Command, Fold, Folded, Recorded
from stack.eventstore.application import LogApplication
from stack.eventstore.backup_manifest import mark_restored
from stack.eventstore.blob_markers import dehydrate, hydrated_bytes, may_need_markers
from stack.eventstore.blobs import BlobStore
from stack.eventstore.codec import Codec
from stack.eventstore.damage import Damage
from stack.eventstore.fold_cache import FoldCache
from stack.eventstore.intake import Intake
from stack.eventstore.log_feed import LogFeed
from stack.eventstore.log_reader import LogReader
from stack.eventstore.mapper import EventMapper
from stack.eventstore.named_blobs import named_blobs
from stack.eventstore.readers import Readers
from stack.eventstore.recorder import Recorder
from stack.eventstore.reserve import FULL as DISK_FULL
from stack.eventstore.reserve import Reserve
from stack.eventstore.stored_content import StoredContent
from stack.eventstore.streams import category_of
from stack.eventstore.submission import Conflict, NewRow, Submission
from stack.eventstore.writer import Writer

_log = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S")

DEFAULT_CACHE_BYTES = 64 * 2**20
MAX_EVENT_BYTES = 64 * 2**20
# Above this the search for long strings goes to a thread: below, that costs more than it saves.
_SCAN_INLINE_BYTES = 32 * 1024
_READ_THREADS = 4


def _now_us() -> int:
    return time.time_ns() // 1_000


class EventStore:
    """Open one per data folder and process. The coroutines may be awaited on any event loop."""

    def __init__(
        self, folder: Path, cache_bytes: int, clock_us: Callable[[], int], *, keep_unnamed_blobs: bool
    ) -> None:
        path = folder / sqlite_schema.FILE_NAME
        folder.mkdir(parents=True, exist_ok=True)
        self._reserve = Reserve(folder)
        self._reserve.look(now=True)
        self.epoch, problems = sqlite_schema.create(path)
        self._damage = Damage(problems)
        mark_restored(folder)
        self.blobs = BlobStore(folder / "blobs")
        self._codec = Codec()
        self._readers = Readers(path, self._damage)
        self._reader = LogReader(self._readers, self._damage)
        self._content = StoredContent(self.blobs, self._reader.referenced, self._damage)
        self._feed = LogFeed(self._reader, self._codec, self.epoch, self._others_wrote)
        self.feed: Feed = self._feed
        self._opened_at_head = self._feed.head()
        self._category_heads: dict[str, int] = {}
        self._cache = FoldCache(cache_bytes)
        self._intake = Intake()
        self._application = LogApplication(
            EventMapper(self._codec, self.blobs.put, self.hydrate),
            Recorder(self._intake, self._reader, self._feed, self.blobs.release),
        )
        self._threads = ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="eventstore-read")
        self._closed = False
        self.on_redaction: Callable[[], None] = lambda: None
        """Called after each append that redacted, on the event loop of its caller."""
        self._writer = Writer(
            path,
            self._intake,
            self.blobs,
            clock_us=clock_us,
            committed=self._committed,
            announce=self._feed.announce,
            others_wrote=self._others_wrote,
        )
        self._writer.start()
        if not keep_unnamed_blobs:
            self._threads.submit(self._content.sweep, lambda: self._closed)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        clock_us: Callable[[], int] = _now_us,
        keep_unnamed_blobs: bool = False,
    ) -> EventStore:
        """Opens the log in `folder`, creating it where there is none. `clock_us` gives microseconds since 1970. Blobs
        that no event names are deleted unless `keep_unnamed_blobs`. Raises Unavailable when the log cannot be opened."""
        return cls(folder, cache_bytes, clock_us, keep_unnamed_blobs=keep_unnamed_blobs)

    async def append(self, append: Append) -> Appended:
        """Records the events; durable on return. A caller that is cancelled meanwhile does not know whether
        they were. Raises VersionConflict, CommandKnown, Invalid, TooLarge, and Unavailable (disk full or failing,
        too many waiting, closed)."""
        if not append.redact and self._reserve.look():
            raise Unavailable(f"{DISK_FULL} Nothing was stored.", retry_after=5)
        submission = self._encode(append)
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
            self._intake.put(submission)
        except ReplaystackError:
            self._release(submission)
            raise
        appended = await future
        if append.redact:
            self.on_redaction()
        return appended

    async def load(self, stream: str, fold: Fold[S]) -> Folded[S]:
        """The stream's state; `fold.initial` at version 0 where it does not exist. No I/O for a stream in use."""
        return self._cache.get(stream, fold) or await self.load_fresh(stream, fold)

    async def load_fresh(self, stream: str, fold: Fold[S]) -> Folded[S]:
        """The stream's state as the log has it, whatever the cache may think."""
        return await self._in_thread(partial(self._load, stream, fold))

    async def read_stream(
        self, stream: str, after_version: int = 0, until_version: int | None = None
    ) -> list[Recorded]:
        """The events with versions above `after_version`, up to and with `until_version` (None: to the last)."""
        return await self._in_thread(
            lambda: [
                self._recorded(record) for record in self._reader.stream(stream, after_version, until_version)
            ]
        )

    async def read_streams(self, streams: Sequence[str]) -> dict[str, list[Recorded]]:
        """The events of each of `streams`; an empty list for one that does not exist. `Damaged` stands for those that
        cannot be read."""
        if not streams:
            return {}
        return await self._in_thread(partial(self._read_streams, streams))

    async def held_by(self, streams: Sequence[str]) -> tuple[int, int]:
        """How many events of these streams have content, and how many blobs they name: what redacting them removes."""
        return await self._in_thread(partial(self._reader.held_by, streams))

    def is_tidy(self) -> bool:
        """Whether what was redacted has left the files of the log: its WAL is cut off, and its blobs are deleted."""
        return self._writer.is_tidy()

    async def find_command(self, prefix: str, since_us: int = 0) -> Command | None:
        """The newest command whose id begins with `prefix`, recorded at or after `since_us`."""
        _check_text(prefix)
        return await self._in_thread(partial(self._reader.command, prefix, since_us))

    def trouble(self) -> str:
        """Why only deletes are recorded, empty if everything is. Looks at the disk at most once per second."""
        return DISK_FULL if self._reserve.look() else ""

    def head(self) -> int:
        """The last committed position. No I/O."""
        return self._feed.head()

    def damage(self) -> tuple[str, ...]:
        """What is known to be wrong with the log, in words: found at opening in its newest events, or since then by
        those who read it. No I/O."""
        return self._damage.problems()

    def category_head(self, category: str) -> int:
        """The last position that this process wrote in a category, or the head found at opening. No I/O."""
        return self._category_heads.get(category, self._opened_at_head)

    async def put_blob(self, content: bytes) -> str:
        """Stores content that an event is going to name, durable on return; returns its digest. It is held until
        `release_blobs` (the event is recorded) or `discard_blobs` (it will not be). Raises Unavailable."""
        work = self._submit(partial(self.blobs.put, content))
        try:
            return str(await asyncio.shield(asyncio.wrap_future(work)))
        except asyncio.CancelledError:
            work.add_done_callback(self._release_put)
            raise

    def release_blobs(self, digests: Sequence[str]) -> None:
        self.blobs.release(digests)

    def discard_blobs(self, digests: Sequence[str]) -> None:
        """Releases blobs and deletes, in a while, those that no event names."""
        self.blobs.release(digests)
        if digests and not self._closed:
            self._submit(partial(self._content.remove_unnamed, digests))

    async def remove_unnamed_blobs(self) -> None:
        """Deletes all blobs that no event names, but for those whose append is under way."""
        await self._in_thread(lambda: self._content.sweep(lambda: self._closed, with_young=True))

    def hydrate(self, state: bytes) -> bytes:
        """A stored event's JSON, or a part of it, with its long strings in place; `damaged_text` stands for one whose
        blob is missing or damaged. Reads files where there are any. Raises Unavailable."""
        return self._content.hydrate(state)

    def blob(self, digest: str) -> bytes:
        """The content of a blob that an event names. Blocks. Raises InternalError when it is missing or damaged, NotFound
        when it was deleted a moment ago, and Unavailable."""
        return self._content.blob(digest)

    def close(self) -> None:
        """Records what was accepted, then ends all threads and connections. Blocks; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._intake.close()
        self._writer.join()
        self._feed.close()
        self._threads.shutdown(wait=True)
        self._readers.close()
        self._application.close()

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
        try:
            "".join([append.command, *append.redact, *[stream for stream, _ in expected]]).encode()
        except UnicodeEncodeError:
            raise Invalid("An id holds half of a surrogate pair, which is no Unicode character.") from None
        submission = Submission(rows, expected, append)
        if blobs:
            submission.blobs = blobs
            self.blobs.hold([digest for _, digest in blobs])
        return submission

    async def _extract_blobs(self, submission: Submission) -> None:
        """Moves long strings into blobs. The thread that does it goes on when the caller is cancelled; what it
        held is released then."""
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
            if fold.last_only:
                folded, size = self._fold_last(stream, fold)
            else:
                found = self._application.fold(stream, fold)
                folded, size = found.folded, found.size
            self._cache.put(stream, fold, folded, size, loading)
            return folded

    def _fold_last(self, stream: str, fold: Fold[S]) -> tuple[Folded[S], int]:
        for record in self._reader.stream(stream, newest_first=True, limit=1):
            last = self._recorded(record)
            return Folded(
                fold.evolve(fold.initial, last.event, last.recorded_at, last.version), last.version
            ), 0
        return Folded(fold.initial, 0), 0

    def _read_streams(self, streams: Sequence[str]) -> dict[str, list[Recorded]]:
        found: dict[str, list[Recorded]] = {stream: [] for stream in streams}
        for record in self._reader.streams(streams):
            try:
                recorded = self._recorded(record)
            except InternalError as error:
                self._damage.note(f"event {record.position}: {error.detail}")
                recorded = Recorded(record.position, record.version, record.recorded_at, Damaged())
            found[record.stream].append(recorded)
        return found

    def _recorded(self, record: Record) -> Recorded:
        event = self._codec.decode(record.name, record.state, self.hydrate)
        return Recorded(record.position, record.version, record.recorded_at, event)

    def _committed(self, submissions: Sequence[Submission], records: Sequence[Record] | None) -> None:
        """In the writer's thread, once for each transaction."""
        self._feed.committed(records)
        head = 0
        for submission in submissions:
            append, outcome = submission.append, submission.outcome
            if isinstance(outcome, Conflict):
                # The caller that decided on that state has to see the stream as it is.
                self._cache.forget(outcome.stream)
            elif not isinstance(outcome, Appended):
                continue
            elif append is None:
                for row in submission.rows:
                    self._cache.forget(row.stream)
                    self._category_heads[category_of(row.stream)] = outcome.last
                head = outcome.last
            else:
                self._follow(submission, append, outcome)
                head = outcome.last
        self._feed.advance(head)

    def _follow(self, submission: Submission, append: Append, outcome: Appended) -> None:
        first = 0
        for write in append.writes:
            if not write.events:
                continue
            last = first + len(write.events)
            if write.stream not in append.redact:
                size = sum([hydrated_bytes(row.state) for row in submission.rows[first:last]])
                self._cache.forward(write, outcome.recorded_at[first:last], size)
            self._category_heads[category_of(write.stream)] = outcome.first + last - 1
            first = last
        for stream in append.redact:
            self._cache.forget(stream)

    def _others_wrote(self) -> None:
        self._cache.clear()
        self._feed.committed(None)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._submit(work))

    def _submit(self, work: Callable[[], Any]) -> Future[Any]:
        try:
            return self._threads.submit(work)
        except RuntimeError:
            raise Unavailable("The server is shutting down.", retry_after=5) from None


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("The text holds half of a surrogate pair, which is no Unicode character.") from None
