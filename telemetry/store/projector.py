"""Follows the telemetry log into the tables of telemetry: one thread, everything that waits in one transaction."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from projections.telemetry_build import Arrival, TelemetryBuild
from projections.telemetry_erasure import finish
from projections.warehouse.errors import StatementRefused, StorageFailed, ViewBehind, WarehouseClosed
from projections.warehouse.file_copy import FileCopy
from projections.warehouse.fresh_file import SMALL_BYTES, FreshFile
from projections.warehouse.instance import Warehouse
from projections.warehouse.recovery import pause_s, remedies
from projections.warehouse.rewrites import BUILD_AGAIN_S, BUSY_S, REPLACE_AGAIN_S, Rewrites
from projections.warehouse.waiters import Waiters
from telemetry.log.port import Entry, TelemetryLog, TelemetryLogError
from telemetry.store.decoding import Decoder
from telemetry.wire.decoded import Decoded, Wanted
from telemetry.wire.refusals import Refused

logger = logging.getLogger("replaystack.telemetry")

MAX_KEPT_BYTES = 96 * 2**20
"""Of requests that are decoded and not in the tables yet. What is more is decoded again when its turn comes."""
BATCH_BYTES = 16 * 2**20
"""Of one transaction, about: 20,000 spans, a fifth of a second."""
READ_BYTES = 8 * 2**20
LINGER_S = 2.0
"""How long requests wait for others while no one asks for them: a transaction takes 10 to 20 ms, whatever it holds."""
LINGER_BYTES = 4 * 2**20
"""With so many bytes, 5,000 spans, they wait no longer: who asks for one waits for all of them."""
_OFFER_S = 0.05
ACCEPTED_BYTES = 2**31
"""What is in the log was checked against a limit when it came."""


class _Kept(Struct):
    decoded: Decoded
    size: int
    applied: Callable[[], None]


class Projector:
    """`start` once, `stop` once; the rest from any thread."""

    def __init__(self, warehouse: Warehouse, log: TelemetryLog, decoder: Decoder) -> None:
        self._warehouse = warehouse
        self._log = log
        self._decoder = decoder
        self._applied_spans: Callable[[int], None] = lambda count: None
        self._build: TelemetryBuild | None = None
        self._generation = 0
        self._failures = 0
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._kept: dict[int, _Kept] = {}
        self._kept_bytes = 0
        self._left_out = 0
        self._position = 0
        self._catches_up_to: int | None = None
        self._waiters = Waiters()
        self._trouble = ""
        self._rewrites = Rewrites(self._work)
        self._fresh: FreshFile | None = None
        self._next_build: TelemetryBuild | None = None
        self._copy = FileCopy(warehouse, "telemetry")
        self._draining = self._stopping = False
        self._end_wakes: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="telemetry projector", daemon=True)

    # --- for writers and readers -------------------------------------------------------------------

    def start(self, applied_spans: Callable[[int], None] | None = None) -> None:
        """`applied_spans` is called after each transaction with how many spans it took."""
        self._applied_spans = applied_spans or self._applied_spans
        self._end_wakes = self._log.subscribe(self._wake)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Applies what is in the log by now, within `timeout_s`; the rest is applied after the next start."""
        self._end_wakes()
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._draining = True
            self._work.notify_all()
            while self._thread.is_alive() and self._position < self._log.head() and not self._trouble:
                left = deadline - time.monotonic()
                if left <= 0 or self._is_rebuilding():
                    break
                self._work.wait(min(left, 0.1))
            self._stopping = True
            self._work.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def build(self) -> TelemetryBuild | None:
        """The tables that are followed into; None while they are not open."""
        return self._build

    @property
    def trouble(self) -> str:
        """Why the tables do not follow the log; empty when they do."""
        return self._trouble

    @property
    def position(self) -> int:
        """Of the last request that is in the tables."""
        return self._position

    def offer(self, position: int, decoded: Decoded, applied: Callable[[], None]) -> None:
        """What the request at `position`, which is durable, was decoded to; `applied` is called once it is in the
        tables, or at once where it is too much to keep."""
        size = decoded.size()
        with self._lock:
            keep = self._kept_bytes + size <= MAX_KEPT_BYTES and not self._is_rebuilding()
            if keep and position > self._position:
                self._kept[position] = _Kept(decoded, size, applied)
                self._kept_bytes += size
                self._work.notify_all()
                return
            self._left_out = max(self._left_out, position)
        applied()

    async def reached(self, wanted: Wanted | None = None, timeout_s: float = 30.0) -> None:
        """Returns once everything that is in the log by now is in the tables, or everything that is wanted of it.
        Raises ViewBehind."""
        head = self._log.head()
        with self._lock:
            last = self._last_with(head, wanted)
            if last <= self._position and self._build is not None:
                return
            future = self._waiters.add(last)
            self._work.notify_all()
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            trouble = self._trouble or f"Its tables are {head - self._position} requests behind."
            raise ViewBehind(trouble, retry_after_s=2) from None
        finally:
            with self._lock:
                self._waiters.discard(future)

    async def rewritten(self) -> None:
        """Returns once the tables are in a file that was begun after this call, so that it holds nothing that was removed
        from them before. Raises ViewBehind when the projector ends."""
        if not await asyncio.to_thread(self._rewrites.wait, self._rewrites.ask()):
            raise ViewBehind("Telemetry is no longer being followed.")

    def _last_with(self, head: int, wanted: Wanted | None) -> int:
        """The last position of which a reader has to know."""
        if wanted is None:
            return head
        last = 0
        for position in range(self._position + 1, head + 1):
            kept = self._kept.get(position)
            if kept is None:
                return head
            if kept.decoded.holds(wanted):
                last = position
        return last

    def _wake(self, head: int) -> None:
        with self._lock:
            self._work.notify_all()

    def _is_rebuilding(self) -> bool:
        return self._catches_up_to is not None

    # --- the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                if self._build is None or self._warehouse.generation != self._generation:
                    self._open()
                if self._warehouse.failure is not None:
                    raise self._warehouse.failure
                arrivals = self._next()
                if arrivals:
                    self._apply(arrivals)
                    self._failures = 0
                    self._trouble = ""
                if self._must_build():
                    self._advance_next()
            except WarehouseClosed:
                break
            except StorageFailed as failure:
                self._mend(failure)
            except Exception as error:
                self._in_trouble(error)
        self._give_up_next()
        self._copy.close()
        with self._lock:
            self._rewrites.end()
            self._waiters.fail("Telemetry is no longer being followed.")
            self._work.notify_all()

    def _open(self) -> None:
        self._give_up_next()
        self._generation = self._warehouse.generation
        head = self._log.head()
        build = TelemetryBuild.open(self._warehouse, self._log.epoch, self._first_lost)
        with self._lock:
            self._build = build
            self._position = build.position
            self._catches_up_to = head if head > build.position else None
        self._warehouse.serve_telemetry(build.schema)
        with self._lock:
            self._waiters.resolve(build.position)

    def _first_lost(self) -> int:
        """The first position that the log does not have any more, 0 if it has all. Reads the whole log."""
        for _ in self._log.check():
            pass
        return min((damage.first for damage in self._log.damages() if damage.last >= damage.first), default=0)

    def _next(self) -> list[Arrival]:
        """The requests behind the tables' position, as many as make a batch; none when woken for something else."""
        with self._lock:
            self._wait_for_work()
            found, size, position = [], 0, self._position + 1
            while size < BATCH_BYTES and (kept := self._kept.get(position)) is not None:
                found.append(Arrival(position, kept.decoded.batches))
                size += kept.size
                position += 1
            if found or self._position >= self._log.head() or self._stopping:
                return found
        head = self._log.head()
        entries = self._log.read(self._position, READ_BYTES)
        if not entries:
            logger.error("positions %d to %d of the telemetry log are lost", self._position + 1, head)
            return [Arrival(head, {})]
        if entries[0].position > max(self._position + 1, self._log.first()):
            lost = f"{self._position + 1} to {entries[0].position - 1}"
            logger.error("positions %s of the telemetry log cannot be read and are passed over", lost)
        return [self._decoded(entry) for entry in entries]

    def _wait_for_work(self) -> None:
        """Returns when there is something to do, or after a second."""
        began = time.monotonic()
        if self._must_build():
            return
        if self._position >= self._log.head():
            left_s = self._rewrites.not_before - time.monotonic() if self._rewrites.wanted else 1.0
            self._work.wait(min(1.0, max(0.0, left_s)))
        due = time.monotonic() + LINGER_S
        while not (self._stopping or self._is_rebuilding() or self._position >= self._log.head()):
            if self._position + 1 not in self._kept:
                # What is durable is offered a moment later; else it was left out, and is read from the log.
                if self._position < self._left_out or time.monotonic() > began + _OFFER_S:
                    return
                self._work.wait(_OFFER_S)
            elif (
                self._is_asked()
                or self._rewrites.wanted
                or self._kept_bytes >= LINGER_BYTES
                or time.monotonic() >= due
            ):
                return
            else:
                self._work.wait(due - time.monotonic())

    def _is_asked(self) -> bool:
        return self._draining or len(self._waiters) > 0

    def _decoded(self, entry: Entry) -> Arrival:
        """Raises TelemetryLogError for what can be tried again."""
        try:
            decoded = self._decoder.decode(entry.content, entry.body, ACCEPTED_BYTES).result()
            return Arrival(entry.position, decoded.batches)
        except Refused as refusal:
            # It was taken once, by another version.
            logger.error("position %d of the telemetry log is passed over: %s", entry.position, refusal)
            return Arrival(entry.position, {})
        except RuntimeError as error:
            raise TelemetryLogError("Decoding has ended.") from error

    def _apply(self, arrivals: Sequence[Arrival]) -> None:
        assert self._build is not None
        _apply_each(self._build, arrivals)
        self._publish()
        self._applied_spans(sum([arrival.rows("spans") for arrival in arrivals]))

    def _publish(self) -> None:
        assert self._build is not None
        with self._lock:
            done = [position for position in self._kept if position <= self._build.position]
            finished = [self._kept.pop(position) for position in done]
            self._kept_bytes -= sum([kept.size for kept in finished])
            self._position = self._build.position
            if self._catches_up_to is not None and self._position >= self._catches_up_to:
                self._catches_up_to = None
            self._waiters.resolve(self._position)
            self._work.notify_all()
        for kept in finished:
            kept.applied()

    def _must_build(self) -> bool:
        return self._rewrites.wanted and self._rewrites.is_due()

    def _advance_next(self) -> None:
        """One batch into the copied tables; once they hold what those hold that serve, the swap."""
        try:
            build, fresh = self._next_tables()
            if build is None or fresh is None or fresh.is_busy():
                self._rewrites.put_off(BUSY_S)
                return
            entries = self._log.read(build.position, READ_BYTES)
            if entries and build.position < self._position:
                _apply_each(
                    build, [self._decoded(entry) for entry in entries if entry.position <= self._position]
                )
                while build.move_chunk():
                    pass
                fresh.checkpoint_if_due()
            if build.position < self._position and entries:
                return
            if fresh.checkpoint_if_due(SMALL_BYTES):
                return
            if build.position < self._position:
                build.apply([Arrival(self._position, {})])
        except (StorageFailed, StatementRefused, ViewBehind, OSError) as failure:
            # The tables that are served have nothing to do with it.
            logger.error("the tables of telemetry could not be rewritten, which is tried again: %s", failure)
            self._give_up_next()
            self._rewrites.put_off(BUILD_AGAIN_S)
            return
        if not self._warehouse.replace(fresh, lambda: self._warehouse.serve_telemetry(build.schema)):
            self._rewrites.put_off(REPLACE_AGAIN_S)
            return
        build.moved_to(self._warehouse)
        self._next_build = self._fresh = None
        with self._lock:
            self._build = build
            self._rewrites.finish()
            self._work.notify_all()

    def _next_tables(self) -> tuple[TelemetryBuild | None, FreshFile | None]:
        """The copied tables; None while they are being copied."""
        if self._next_build is None or self._fresh is None:
            if not self._copy.is_begun:
                self._rewrites.begin()
                self._copy.begin()
            self._fresh = self._copy.take()
            if self._fresh is not None:
                finish(self._fresh)
                self._next_build = TelemetryBuild.open(self._fresh, self._log.epoch)
        return self._next_build, self._fresh

    def _give_up_next(self) -> None:
        self._copy.give_up()
        if self._fresh is not None:
            self._fresh.discard()
        self._next_build = self._fresh = None

    def _mend(self, failure: StorageFailed) -> None:
        """Opens the files again; a damaged one is set aside and built again from the log."""
        self._in_trouble(failure)
        if self._stopping:
            return
        damaged, in_memory = remedies("telemetry", failure, self._failures)
        try:
            self._warehouse.reopen(damaged=damaged, generation=self._generation, in_memory=in_memory)
        except (StorageFailed, OSError) as error:
            self._in_trouble(error)

    def _in_trouble(self, error: Exception) -> None:
        """Says so, and pauses."""
        logger.error("telemetry does not reach its tables: %s: %s", type(error).__name__, error)
        self._failures += 1
        with self._lock:
            self._trouble = f"Its tables are in trouble ({type(error).__name__})."
            self._waiters.fail(self._trouble)
            if not self._stopping:
                self._work.wait(pause_s(self._failures))


def _apply_each(build: TelemetryBuild, arrivals: Sequence[Arrival]) -> None:
    """Applies them together, or one by one where the database refuses that. Raises StorageFailed."""
    try:
        build.apply(arrivals)
    except StatementRefused as refusal:
        if len(arrivals) > 1:
            for arrival in arrivals:
                _apply_each(build, [arrival])
            return
        # One request may not hold up all others for ever; it stays in the log.
        position = arrivals[0].position
        logger.error("position %d of the telemetry log is passed over: %s", position, refusal)
        build.apply([Arrival(position, {})])
