"""The feed of the event log: the newest records from memory, older ones from the file, and the wake-up of
followers."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from threading import Event, Lock, Thread

from projections.warehouse.feed import Record
from stack.errors import ReplaystackError
from stack.eventstore.codec import Codec
from stack.eventstore.port import EventLog, NamedRecords

_log = logging.getLogger(__name__)

POLL_S = 0.25
_OWN_COMMIT_S = 0.05
_TAIL_RECORDS = 5_000
_TAIL_BYTES = 8 * 2**20


class LogFeed:
    """Implements `projections.warehouse.feed.Feed`. A follower that keeps up reads from memory, without
    queries.

    Commits of this process wake the subscribers at once; those of other processes are found by polling every
    0.25 s while there are subscribers.
    """

    def __init__(self, log: EventLog, codec: Codec, others_wrote: Callable[[], None]) -> None:
        self._log = log
        self._codec = codec
        self._others_wrote = others_wrote
        self._lock = Lock()
        self._head = log.head()
        self._tail: deque[Record] = deque()
        self._tail_bytes = 0
        self._wakes: dict[object, Callable[[int], None]] = {}
        self._closed = Event()
        self._poller: Thread | None = None

    @property
    def epoch(self) -> str:
        return self._log.epoch

    def head(self) -> int:
        return self._head

    def names(self) -> dict[str, list[str]]:
        """Returns the names of all known events without versions, each with those under which it may be stored."""
        return self._codec.names()

    def read(self, after: int, limit: int) -> Sequence[Record]:
        kept = self._kept(after, limit)
        return [self._lifted(record) for record in self._log.after(after, limit)] if kept is None else kept

    def selected(self, wanted: NamedRecords) -> list[Record]:
        """Returns the selected records, older versions upcast; a damaged one has `DAMAGED` as its content. Blocks."""
        recent = self.recent(wanted)
        return [self._lifted(one) for one in self._log.selected(wanted)] if recent is None else recent

    def recent(self, wanted: NamedRecords) -> list[Record] | None:
        """As `selected`, from memory; None if the first of them may not be there."""
        kept = self._kept(wanted.first - 1, wanted.last - wanted.first + 1)
        return None if kept is None else wanted.of(kept)

    def _kept(self, after: int, limit: int) -> list[Record] | None:
        with self._lock:
            tail = self._tail
            if not tail or not tail[0].position <= after + 1 <= tail[-1].position:
                return None
            start = after + 1 - tail[0].position
            return list(islice(tail, start, start + limit))

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        key = object()
        with self._lock:
            self._wakes[key] = wake
            if self._poller is None and not self._closed.is_set():
                self._poller = Thread(target=self._poll, name="eventstore-poll", daemon=True)
                self._poller.start()

        def end() -> None:
            with self._lock:
                self._wakes.pop(key, None)

        return end

    def committed(self, records: Sequence[Record] | None) -> None:
        """Adds new records of this process; None if earlier ones were redacted, which are then removed from
        memory too."""
        with self._lock:
            if records is None:
                self._drop_tail()
                return
            if records and self._tail and self._tail[-1].position + 1 != records[0].position:
                self._drop_tail()
            self._tail.extend(records)
            self._tail_bytes += sum([len(record.state) for record in records])
            while self._tail and (self._tail_bytes > _TAIL_BYTES or len(self._tail) > _TAIL_RECORDS):
                self._tail_bytes -= len(self._tail.popleft().state)

    def advance(self, head: int) -> None:
        with self._lock:
            self._head = max(self._head, head)

    def announce(self) -> None:
        """Wakes the subscribers."""
        head = self._head
        with self._lock:
            wakes = list(self._wakes.values())
        for wake in wakes:
            try:
                wake(head)
            except Exception:
                _log.exception("a subscriber of the event log failed to wake")

    def close(self) -> None:
        self._closed.set()
        if self._poller is not None:
            self._poller.join()

    def _poll(self) -> None:
        while not self._closed.wait(POLL_S):
            if not self._wakes:
                with self._lock:
                    if not self._wakes:
                        self._poller = None
                        return
            try:
                head = self._log.head()
            except ReplaystackError:
                continue
            # This process's writer may be between a commit and its announcement.
            if head > self._head and not self._closed.wait(_OWN_COMMIT_S) and head > self._head:
                self._others_wrote()
                self.advance(head)
                self.announce()

    def _drop_tail(self) -> None:
        self._tail.clear()
        self._tail_bytes = 0

    def _lifted(self, record: Record) -> Record:
        name, state = self._codec.lift(record.name, record.state)
        return record if name is record.name else record._replace(name=name, state=state)
