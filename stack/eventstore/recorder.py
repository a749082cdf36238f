"""The log behind the `eventsourcing` library's application recorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    ProgrammingError,
    StoredEvent,
)

from projections.warehouse.feed import Feed, Record
from stack.errors import Unavailable
from stack.eventstore.appends import Appended
from stack.eventstore.batch import VersionTaken
from stack.eventstore.blob_markers import digests_in
from stack.eventstore.intake import Intake
from stack.eventstore.log_reader import LogReader, NamedRecords
from stack.eventstore.mapper import StoredRecord
from stack.eventstore.submission import NewRow, Submission

_LAST_POSITION = 2**62


class Recorder(ApplicationRecorder):
    """Writes by handing rows to the writer and waiting; reads on the calling thread's own connection."""

    def __init__(
        self, intake: Intake, reader: LogReader, feed: Feed, release: Callable[[Sequence[str]], None]
    ) -> None:
        self._intake = intake
        self._reader = reader
        self._feed = feed
        self._release_blobs = release

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Positions of the events. Any versions will do as long as they are free, else IntegrityError."""
        if kwargs.get("tracking") is not None:
            raise ProgrammingError("the event log records no tracking: that goes with the view")
        if not stored_events:
            return []
        rows = [NewRow(str(e.originator_id), e.originator_version, e.topic, e.state) for e in stored_events]
        submission = Submission(rows, expected=None)
        submission.blobs = [
            (index, digest) for index, row in enumerate(rows) for digest in digests_in(row.state)
        ]
        waiter: Future[Appended] = Future()
        submission.future = waiter
        try:
            self._intake.put(submission)
        except Unavailable:
            self._release_blobs([digest for _, digest in submission.blobs])
            raise
        try:
            appended = waiter.result()
        except VersionTaken as error:
            raise IntegrityError(str(error)) from error
        return list(range(appended.first, appended.last + 1))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        records = self._reader.stream(str(originator_id), gt, lte, newest_first=desc, limit=limit)
        return [StoredRecord(r.stream, r.version, r.name, r.state, r.recorded_at) for r in records]

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
        return [_notification(r) for r in self._reader.selected(NamedRecords(first, last, limit, topics))]

    def max_notification_id(self) -> int | None:
        return self._reader.head() or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> LogSubscription:
        return LogSubscription(self, gt, topics, self._feed.subscribe)


class LogSubscription(ListenNotifySubscription[Recorder]):
    """Yields what is recorded, then blocks for what will be; the feed wakes it."""

    def __init__(
        self,
        recorder: Recorder,
        gt: int | None,
        topics: Sequence[str],
        subscribe: Callable[[Callable[[int], None]], Callable[[], None]],
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._unsubscribe = subscribe(lambda _: self._has_been_notified.set())
        # All that was recorded between the first read and now woke no one.
        self._has_been_notified.set()

    def stop(self) -> None:
        super().stop()
        # Without it when the first read fails before anything is subscribed.
        if (unsubscribe := getattr(self, "_unsubscribe", None)) is not None:
            unsubscribe()


def _notification(record: Record) -> Notification:
    return Notification(record.stream, record.version, record.name, record.state, record.position)
