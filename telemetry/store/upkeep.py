"""Maintains the store of telemetry: moves old spans to sealed files, and removes old data.

The log is trimmed a file at a time; the tables lose what the log has lost, so that they equal the result of a
rebuild. The files of the log are gradually read to find damage while the tables still hold a copy of their
data.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

from msgspec import Struct

from projections.sealed_spans import CHUNK, merge_once, remove_unneeded, seal_chunk
from projections.telemetry_build import TelemetryBuild
from projections.warehouse.errors import StatementRefused, StorageFailed, ViewBehind, WarehouseClosed
from projections.warehouse.instance import Warehouse
from telemetry.log.port import TelemetryLog
from telemetry.log.retention_clock import RetentionClock
from telemetry.log.segment_log import SEGMENT_BYTES
from telemetry.store.projector import Projector

logger = logging.getLogger("replaystack.telemetry")

TRIM_EVERY_S = 60.0
OPENING_S = 0.1
"""Interval in seconds at which it is checked whether the tables are open."""
CHECKPOINT_BYTES = 16 << 20
"""The log of the file is written back from this size on, in bytes: its rows occupy memory, and opening
a copy of the file reads them again, at 5 ms for each megabyte."""
CHECKPOINT_EVERY_S = 1.0
"""Interval in seconds at which the size is checked while spans arrive."""
_CHECKPOINT_SHARE = 10
"""The writer waits for a checkpoint (130 ms of CPU time for 16 MB): they take at most this part of the time."""
_PAUSE = 4
"""Work that can wait takes a fifth of one core: after it there is a pause of so many times its duration."""
_DAY_US = 86_400_000_000


class Retention(Struct, frozen=True):
    """How long telemetry is kept: the number of days after its receipt, and the number of bytes as received.
    It is removed in segments of `segment_bytes`. `sealed_spans` old spans at a time are moved to a file."""

    max_age_days: float
    max_bytes: int
    segment_bytes: int = SEGMENT_BYTES
    sealed_spans: int = CHUNK


class Upkeep:
    """Call `start` once and `stop` once."""

    def __init__(
        self,
        warehouse: Warehouse,
        log: TelemetryLog,
        projector: Projector,
        retention: Retention,
        clock: RetentionClock,
    ) -> None:
        self._warehouse = warehouse
        self._log = log
        self._projector = projector
        self._retention = retention
        self._clock = clock
        self._check: Iterator[None] | None = log.check()
        self._forgotten: tuple[TelemetryBuild | None, int] = (None, 0)
        self._since_sealed = retention.sealed_spans
        self._due_spans = max(1, retention.sealed_spans // 4)
        self._may_merge = True
        self._merge_at = 0.0
        self._has_arrived = False
        self._checkpoint_at = 0.0
        self._stopping = threading.Event()
        self._work = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def arrived(self, spans: int) -> None:
        """Must be called with the number of spans added to the tables."""
        self._since_sealed += spans
        if not self._has_arrived or self._since_sealed >= self._due_spans:
            self._has_arrived = True
            self._work.set()

    def stop(self) -> None:
        """Waits for running work: a second or two."""
        self._stopping.set()
        self._work.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        # What a crash has left to be moved is moved once the tables are open, even if nothing arrives.
        while self._projector.build is None and not self._stopping.is_set():
            self._work.wait(OPENING_S)
        trim_at = check_at = time.monotonic()
        while not self._stopping.is_set():
            try:
                if self._since_sealed >= self._due_spans:
                    self._since_sealed = 0
                    self._seal()
                if self._may_merge and time.monotonic() >= self._merge_at:
                    self._merge()
                if self._has_arrived and time.monotonic() >= self._checkpoint_at:
                    self._checkpoint()
                if time.monotonic() >= trim_at:
                    trim_at = time.monotonic() + TRIM_EVERY_S
                    self.trim()
                if self._check is not None and time.monotonic() >= check_at:
                    check_at = self._checked()
            except (StatementRefused, StorageFailed, ViewBehind, OSError) as error:
                # The projector repairs the file; here the work is retried later.
                logger.warning("upkeep of telemetry is put off: %s", error)
            except WarehouseClosed:
                return
            except Exception:
                logger.exception("upkeep of telemetry failed")
            due = min(trim_at, self._checkpoint_at) if self._has_arrived else trim_at
            if self._check is not None:
                due = min(due, check_at)
            if self._may_merge:
                due = min(due, self._merge_at)
            self._work.wait(max(0.01, due - time.monotonic()))
            self._work.clear()

    def _checkpoint(self) -> None:
        self._has_arrived = False
        began = time.monotonic()
        self._checkpoint_at = began + CHECKPOINT_EVERY_S
        self._warehouse.checkpoint("telemetry", due_bytes=CHECKPOINT_BYTES)
        ended = time.monotonic()
        self._checkpoint_at = max(self._checkpoint_at, ended + _CHECKPOINT_SHARE * (ended - began))

    def _checked(self) -> float:
        """Checks one more file; returns when to check the next one, so that this takes a fifth of one
        core."""
        began = time.monotonic()
        assert self._check is not None
        try:
            next(self._check)
        except StopIteration:
            self._check = None
        except OSError as error:
            logger.error("the telemetry log could not be checked: %s", error)
            self._check = None
        ended = time.monotonic()
        return ended + _PAUSE * (ended - began)

    @property
    def retention_waits(self) -> str:
        """Returns why nothing is removed for its age; empty if it is."""
        return self._clock.waits

    def _seal(self) -> None:
        """Moves old spans to sealed files, and removes files that are no longer needed."""
        build, chunk = self._projector.build, self._retention.sealed_spans
        while build is not None and not self._stopping.is_set():
            if not seal_chunk(self._warehouse, build.schema, chunk):
                break
            self._may_merge = True
        remove_unneeded(self._warehouse)

    def _merge(self) -> None:
        """Merges small files once; after a failure, again when there is another file."""
        self._may_merge = False
        began = time.monotonic()
        build, chunk = self._projector.build, self._retention.sealed_spans
        self._may_merge = build is not None and merge_once(self._warehouse, build.schema, chunk)
        remove_unneeded(self._warehouse)
        ended = time.monotonic()
        self._merge_at = ended + _PAUSE * (ended - began)

    def trim(self) -> None:
        """Removes data beyond the limits from log and tables."""
        build = self._projector.build
        if build is None:
            return
        before_us = self._clock.now_us() - int(self._retention.max_age_days * _DAY_US)
        self._clock.save()
        self._log.trim(before_us, self._retention.max_bytes, self._projector.position)
        first = self._log.first()
        # Rebuilt tables may contain data that was removed from the log meanwhile.
        if first > 1 and self._forgotten != (build, first):
            build.forget_before(self._warehouse, first)
            self._forgotten = build, first
        remove_unneeded(self._warehouse)
