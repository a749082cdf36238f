"""The event log as the `eventsourcing` library's application recorder."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    ProgrammingError,
    StoredEvent,
)

from projections.warehouse.feed import DAMAGED, Feed, Record
from stack.errors import Unavailable
from stack.eventstore import EventStore
from stack.eventstore.appends import Appended
from stack.eventstore.blob_markers import dehydrate, may_need_markers
from stack.eventstore.damage import NOT_RECORDED, event_damaged
from stack.eventstore.port import NamedRecords
from stack.eventstore.submission import NewRow, Submission, VersionTaken

_LAST_POSITION = 2**62


class Recorder(ApplicationRecorder):
    """Appends by submitting to the log of `store` and waiting; reads on the calling thread's own connection.

    An aggregate's id is the name of its stream. Long strings of an event's JSON are stored as blobs.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._log = store.log

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Returns the positions of the events. Any unused versions are accepted, otherwise IntegrityError is
        raised."""
        if kwargs.get("tracking") is not None:
            raise ProgrammingError("the event log records no tracking: a follower keeps its own position")
        if not stored_events:
            return []
        submission = self._submission(stored_events)
        waiter: Future[Appended] = Future()
        submission.future = waiter
        try:
            self._log.submit(submission)
        except Unavailable:
            self._store.release_blobs([digest for _, digest in submission.blobs])
            raise
        try:
            appended = waiter.result()
        except VersionTaken as error:
            raise IntegrityError(str(error)) from error
        return list(range(appended.first, appended.last + 1))

    def _submission(self, stored_events: Sequence[StoredEvent]) -> Submission:
        rows, blobs = [], []
        for index, event in enumerate(stored_events):
            state = event.state
            if may_need_markers(state) and _is_json(state):

                def put(content: bytes, index: int = index) -> str:
                    digest = self._store.blobs.put(content)
                    blobs.append((index, digest))
                    return digest

                state = dehydrate(state, put)
            rows.append(NewRow(str(event.originator_id), event.originator_version, event.topic, state))
        submission = Submission(rows, expected=None)
        submission.blobs = blobs
        return submission

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        records = self._log.stream(str(originator_id), gt, lte, newest_first=desc, limit=limit)
        return [StoredEvent(r.stream, r.version, r.name, self._store.hydrate(r.state)) for r in records]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        first = 0 if start is None else start if inclusive_of_start else start + 1
        last = _LAST_POSITION if stop is None else stop
        return [self._notification(r) for r in self._log.selected(NamedRecords(first, last, limit, topics))]

    def max_notification_id(self) -> int | None:
        return self._log.head() or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> LogSubscription:
        return LogSubscription(self, self._store.feed, gt, topics)

    def _notification(self, record: Record) -> Notification:
        if record.state == DAMAGED:
            raise event_damaged(record.position, record.stream, record.name, NOT_RECORDED)
        state = self._store.hydrate(record.state)
        return Notification(record.stream, record.version, record.name, state, record.position)


class LogSubscription(ListenNotifySubscription[Recorder]):
    """Yields recorded events, then blocks until there are more; the feed wakes it."""

    def __init__(self, recorder: Recorder, feed: Feed, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._unsubscribe = feed.subscribe(lambda _: self._has_been_notified.set())
        # Events recorded between the first read and now have not woken it.
        self._has_been_notified.set()

    def stop(self) -> None:
        super().stop()
        # Missing if the first read fails before the subscription.
        if (unsubscribe := getattr(self, "_unsubscribe", None)) is not None:
            unsubscribe()


def _is_json(state: bytes) -> bool:
    """Returns False for a state that the application compresses or encrypts."""
    try:
        msgspec.json.decode(state)
    except msgspec.DecodeError:
        return False
    return True
