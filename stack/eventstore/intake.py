"""The bounded queue between appending callers and the writer's thread."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Lock

from stack.errors import Unavailable
from stack.eventstore.submission import Submission

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 128 * 2**20
MAX_BATCH_EVENTS = 1_000
MAX_BATCH_BYTES = 8 * 2**20


class Intake:
    """The queue of appends, at most 10,000 of them or 128 MiB (one larger append is accepted if it is
    alone)."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._lock = Lock()
        self._waiting = 0
        self._waiting_bytes = 0
        self._closed = False

    def put(self, submission: Submission) -> None:
        """Raises Unavailable if the queue is full or closed; never blocks."""
        with self._lock:
            if self._closed:
                raise Unavailable("The server is shutting down.", retry_after=5)
            full = self._waiting >= MAX_WAITING
            if full or (self._waiting and self._waiting_bytes + submission.size > MAX_WAITING_BYTES):
                raise Unavailable("Too many requests are waiting to be recorded.", retry_after=1)
            self._waiting += 1
            self._waiting_bytes += submission.size
            self._queue.put(submission)

    def close(self) -> None:
        """Refuses further appends; accepted ones can still be taken."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)

    def take(self, timeout_s: float | None = None) -> list[Submission] | None:
        """Waits for the next batch: everything that is waiting, within bounds. Returns an empty list after
        `timeout_s`, None at the end (closed, and everything was taken)."""
        batch: list[Submission] = []
        events = size = 0
        try:
            item = self._queue.get(timeout=timeout_s)
            while item is not None:
                batch.append(item)
                events += len(item.rows)
                size += item.size
                if events >= MAX_BATCH_EVENTS or size >= MAX_BATCH_BYTES:
                    break
                item = self._queue.get_nowait()
            else:
                if not batch:
                    return None
                self._queue.put(None)  # for the next call
        except Empty:
            pass
        with self._lock:
            self._waiting -= len(batch)
            self._waiting_bytes -= size
        return batch
