"""The telemetry log in segment files: one writer, which writes all waiting requests to disk with one sync.

A request is acknowledged after the sync that covers it. A crash can leave an incomplete frame at the end of
the last file; it was never acknowledged, and is cut off at the next start. Any other damage is kept and
reported: intact frames are served, the damaged bytes are copied to a separate file, and lost positions are
never used again.
"""

from __future__ import annotations

import logging
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import NamedTuple

from projections.warehouse.files import sync_folder
from telemetry.log import segment_rewrite
from telemetry.log.damage import KnownDamage, erase
from telemetry.log.log_files import epoch_of, read_trimmed, write_trimmed
from telemetry.log.port import Accepted, Content, Damage, Entry, LogFailed, LogFull
from telemetry.log.segment import ENDING, FRAME_BYTES, Segment, contents, first_of, frame
from telemetry.log.segment_rewrite import Edit
from telemetry.log.segment_scan import Gap

logger = logging.getLogger("replaystack.telemetry")

SEGMENT_BYTES = 64 * 2**20
SEGMENT_US = 86_400_000_000
"""A file is closed after a day: whole files are removed, so the requests in a file must have similar ages."""
MAX_WAITING_BYTES = 64 * 2**20
MAX_WAITING = 10_000
# Maximum size of one write; later requests share the next sync.
_BATCH_BYTES = 8 * 2**20


class _Waiting(NamedTuple):
    content: Content
    body: bytes
    written: Future[int]


class SegmentLog:
    """Implements `telemetry.log.port.TelemetryLog`. One per folder and process. `tables` are the epoch and
    the position of the tables that were built from it: requests up to this position were in the log, even if
    they are lost, and a log without an epoch adopts that of the tables. `refuses` returns why no requests are
    accepted at the moment, empty if they are. Raises OSError if the log cannot be opened."""

    def __init__(
        self,
        folder: Path,
        *,
        tables: tuple[str, int] = ("", 0),
        segment_bytes: int = SEGMENT_BYTES,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
        refuses: Callable[[], str] = lambda: "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._clock_us = clock_us
        self._refuses = refuses
        segment_rewrite.remove_unfinished(folder)
        self._epoch = epoch_of(folder, tables[0])
        self._lock = Lock()
        self._damage = KnownDamage(folder)
        acknowledged = tables[1] if tables[0] == self._epoch else 0
        self._segments = _opened(folder, acknowledged)
        self._trimmed = self._trimmed_until()
        last = self._segments[-1].end - 1 if self._segments else self._trimmed
        self._head = max(last, acknowledged)
        self._note_lost_files(acknowledged)
        self._recorded_at = self._segments[-1].last_at if self._segments else 0
        self._writing = Lock()
        self._sealed_until = 0
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._waiting = self._waiting_bytes = 0
        self._closed = False
        self._wakes: dict[object, Callable[[int], None]] = {}
        self._file: int | None = None
        self._thread = Thread(target=self._run, name="telemetry-log", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> str:
        return self._epoch

    def first(self) -> int:
        with self._lock:
            return min(self._trimmed + 1, self._head + 1)

    def head(self) -> int:
        return self._head

    def recorded_at(self) -> int:
        """The time at which the newest request was recorded, in microseconds since 1970; 0 if there is
        none."""
        return self._recorded_at

    def append(self, content: Content, body: bytes) -> Future[int]:
        if reason := self._refuses():
            raise LogFull(reason)
        waiting = _Waiting(content, body, Future())
        with self._lock:
            if self._closed:
                raise LogFull("The server is shutting down.")
            full = self._waiting >= MAX_WAITING
            if full or (self._waiting and self._waiting_bytes + len(body) > MAX_WAITING_BYTES):
                raise LogFull("Too much telemetry waits to be written.")
            self._waiting += 1
            self._waiting_bytes += len(body)
            self._queue.put(waiting)
        return waiting.written

    def read(self, after: int, max_bytes: int) -> Sequence[Entry]:
        with self._lock:
            segments, head = list(self._segments), self._head
        found: list[Entry] = []
        at = max(0, bisect_right(segments, after + 1, key=lambda segment: segment.first) - 1)
        try:
            for segment in segments[at:]:
                room = max_bytes - sum([len(entry.body) for entry in found])
                if found and room <= 0:
                    break
                found.extend(segment.read(found[-1].position if found else after, room))
                self._note(segment.path, segment.gaps)
                assert segment.positions is not None
                if found and segment.positions and found[-1].position < segment.positions[-1]:
                    break
        except FileNotFoundError as error:
            with self._lock:
                is_lost = segment in self._segments
                if is_lost:
                    # Removed by another process while the log is open.
                    self._segments.remove(segment)
            if is_lost:
                logger.error("%s is gone: %s", segment.path.name, error)
                self._note(segment.path, [Gap(0, 0, segment.first, segment.end - 1)])
            return self.read(max(after, self.first() - 1), max_bytes)
        except OSError as error:
            raise LogFailed(f"The telemetry log could not be read: {error}.") from error
        # Entries of a running write are not visible yet.
        return [entry for entry in found if entry.position <= head]

    def damages(self) -> list[Damage]:
        return self._damage.all()

    def accepted(self) -> Sequence[Accepted]:
        return self._damage.accepted()

    def accept_loss(self) -> None:
        for _ in self.check():
            pass
        self._damage.accept()

    def check(self) -> Iterator[None]:
        """Reads each sealed file once while the log is open, one file per step, and records damage. Raises
        OSError."""
        with self._lock:
            segments = [
                segment for segment in self._segments if segment.positions is None and not segment.is_checked
            ]
        for segment in segments:
            try:
                self._note(segment.path, segment.checked().gaps)
                segment.is_checked = True
            except FileNotFoundError:
                with self._lock:
                    if segment in self._segments:
                        raise
            yield

    def _note(self, path: Path, gaps: Sequence[Gap]) -> None:
        self._damage.note(path, gaps, self._trimmed)

    def _trimmed_until(self) -> int:
        found = read_trimmed(self._folder)
        # A file that retention failed to remove is still part of the log.
        possible = self._segments[0].first - 1 if self._segments else found
        if found is None:
            found = possible or 0
            write_trimmed(self._folder, found)
        return found if possible is None else min(found, possible)

    def _note_lost_files(self, acknowledged: int) -> None:
        """Records losses that the newest file and the names of the files reveal; others are found when the
        files are read."""
        for segment in self._segments:
            self._note(segment.path, segment.gaps)
        first = self._segments[0].first if self._segments else acknowledged + 1
        if first > self._trimmed + 1:
            path = Segment.name(self._folder, self._trimmed + 1)
            self._note(path, [Gap(0, 0, self._trimmed + 1, first - 1)])

    def size(self) -> int:
        with self._lock:
            return contents(self._segments)

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        key = object()
        with self._lock:
            self._wakes[key] = wake

        def end() -> None:
            with self._lock:
                self._wakes.pop(key, None)

        return end

    def trim(self, before_us: int, max_bytes: int, until: int) -> None:
        """Removes whole segments, never the one that is being written."""
        removed: list[Segment] = []
        with self._lock:
            while len(self._segments) > 1:
                oldest = self._segments[0]
                over = contents(self._segments) > max_bytes
                if oldest.end - 1 > until or not (over or oldest.last_at < before_us):
                    break
                removed.append(self._segments.pop(0))
            if not removed:
                return
            self._trimmed = trimmed = removed[-1].end - 1
        # Recorded first: a file that still exists is removed later, but a missing file would be damage.
        write_trimmed(self._folder, trimmed)
        for segment in removed:
            segment.path.unlink(missing_ok=True)
        self._damage.forget(trimmed)

    def erase(self, edit: Edit, *, everywhere: bool) -> list[str]:
        for _ in self.check():
            pass
        if everywhere:
            self._rewrite(edit)
        try:
            return erase(self._folder, self.damages())
        except OSError as error:
            raise LogFailed(f"Damaged bytes of the telemetry log could not be erased: {error}.") from error

    def _rewrite(self, edit: Edit) -> None:
        """Replaces bodies of requests, each by one of the same length. Raises LogFailed."""
        with self._writing:
            # Further writes use a new file, so that none is appended to a file that is being replaced.
            self._sealed_until = self._head
        with self._lock:
            segments = [segment for segment in self._segments if segment.end <= self._sealed_until + 1]
        for segment in segments:
            try:
                segment_rewrite.rewrite(segment, edit)
            except FileNotFoundError:
                continue  # its retention has ended
            except (OSError, ValueError) as error:
                raise LogFailed(f"The telemetry log could not be rewritten: {error}.") from error
            self._note(segment.path, segment.gaps)
        sync_folder(self._folder)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._close_file()

    # --- the writer's thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._taken()) is not None:
            try:
                with self._writing:
                    self._write(batch)
            except Exception as error:  # no caller may wait forever, and this thread must not end
                logger.error("the telemetry log could not be written: %s", error)
                refusal = LogFailed(f"The telemetry log could not be written ({error}); nothing was kept.")
                for waiting in batch:
                    if not waiting.written.done():
                        waiting.written.set_exception(refusal)

    def _taken(self) -> list[_Waiting] | None:
        """Returns everything that is waiting, within bounds; None at the end."""
        batch: list[_Waiting] = []
        size = 0
        try:
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                size += len(item.body)
                if size >= _BATCH_BYTES:
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

    def _write(self, batch: list[_Waiting]) -> None:
        now = max(self._clock_us(), self._recorded_at)
        segment = self._segment_for(sum([FRAME_BYTES + len(waiting.body) for waiting in batch]), now)
        entries = [
            Entry(position, now, waiting.content, waiting.body)
            for position, waiting in enumerate(batch, self._head + 1)
        ]
        try:
            self._put(b"".join(map(frame, entries)))
        except OSError:
            self._take_back(segment)
            raise
        with self._lock:
            for entry in entries:
                segment.added(entry)
            self._head, self._recorded_at = entries[-1].position, now
            wakes = list(self._wakes.values())
        for waiting, entry in zip(batch, entries, strict=True):
            waiting.written.set_result(entry.position)
        for wake in wakes:
            wake(self._head)

    def _put(self, content: bytes) -> None:
        assert self._file is not None
        view = memoryview(content)
        while view:
            view = view[os.write(self._file, view) :]
        os.fdatasync(self._file)

    def _take_back(self, segment: Segment) -> None:
        """Removes the data of a failed write: it was refused, so it must not exist after the next start."""
        self._close_file()
        segment.cut(segment.size)

    def _segment_for(self, size: int, now: int) -> Segment:
        segment = self._segments[-1] if self._segments else None
        full = segment is not None and segment.size and segment.size + size > self._segment_bytes
        old = segment is not None and segment.size and now - segment.first_at > SEGMENT_US
        sealed = segment is not None and (
            segment.is_sealed
            or segment.end <= self._head
            or (segment.size and segment.end - 1 <= self._sealed_until)
        )
        if segment is None or sealed or full or old:
            self._close_file()
            path = Segment.name(self._folder, self._head + 1)
            self._file = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            sync_folder(self._folder)
            segment = Segment(path, self._head + 1)
            with self._lock:
                self._segments.append(segment)
        elif self._file is None:
            self._file = os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return segment

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _opened(folder: Path, acknowledged: int) -> list[Segment]:
    """Returns the segments in order, the newest one checked and without an incomplete end. Earlier ones are
    read on demand. Requests up to position `acknowledged` were in the log."""
    paths = sorted(folder.glob(f"*{ENDING}"), key=first_of)
    segments = [Segment.sealed(path, following) for path, following in pairwise(paths)]
    if paths:
        last = Segment.opened(paths[-1], acknowledged)
        last.last_at = last.last_at or (segments[-1].last_at if segments else 0)
        segments.append(last)
    return segments
