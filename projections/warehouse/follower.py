"""The follower: one thread that keeps the tables of one file of the warehouse up to date with one log.

It applies records at once if a reader waits for a position, and otherwise collects them, so that a burst
shares a transaction. It reopens failed files, builds new tables next to those that are served, and retries
without a limit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

from projections.warehouse.errors import StorageFailed, ViewBehind, WarehouseClosed
from projections.warehouse.gc_tuning import without_collecting
from projections.warehouse.instance import Warehouse
from projections.warehouse.next_tables import NextTables
from projections.warehouse.port import Source, Tables, Target
from projections.warehouse.read_ahead import ReadAhead
from projections.warehouse.recovery import pause_s, remedies
from projections.warehouse.rewrites import Rewrites
from projections.warehouse.state import FollowerState
from projections.warehouse.waiters import Waiters

_log = logging.getLogger(__name__)

# The log wakes the thread; this only limits the effect of a lost wake-up.
_IDLE_S = 1.0
_ENDED = "The log is no longer being followed."
_IN_TROUBLE = "The tables are unavailable and being repaired."
_BEING_BUILT = "The tables are being built from the log."

T = TypeVar("T", bound=Tables[Any])


class Follower(Generic[T]):
    """Applies `source` to the tables of `target`. Call `start` once and `stop` once; other methods are
    thread-safe."""

    def __init__(self, warehouse: Warehouse, source: Source[Any], target: Target[T]) -> None:
        self._warehouse = warehouse
        self._source = source
        self._target = target
        self._tables: T | None = None
        self._is_open = False
        self._failures = 0
        self._generation = 0
        # Everything below is shared with other threads, under the lock.
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._moved = threading.Condition(self._lock)
        self._waiters = Waiters()
        self._position = 0
        self._is_whole = False
        self._catches_up_to = 0
        self._pending_since: float | None = None
        self._rebuild_wanted = False
        self._rebuilding = False
        self._rewrites = Rewrites(self._moved)
        self._ahead = ReadAhead(source)
        self._next = NextTables(warehouse, source, target, self._rewrites)
        self._trouble: Exception | None = None
        self._stop_at: float | None = None
        self._ended = False
        self._opened = threading.Event()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=f"{target.file} follower", daemon=True)

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts to open the tables and to follow."""
        self._unsubscribe = self._source.subscribe(self._wake)
        self._thread.start()

    def opened(self) -> None:
        """Blocks until reads are served, or until it is known that they are not yet: a long log is read from
        its beginning, or the file cannot be used."""
        self._opened.wait()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Applies what is in the log, as far as possible within the time, and ends the thread. Idempotent."""
        unsubscribe, self._unsubscribe = self._unsubscribe, lambda: None
        unsubscribe()
        with self._lock:
            if self._stop_at is None:
                self._stop_at = time.monotonic() + timeout_s
            self._work.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s + 1.0)

    # --- reading your own writes -------------------------------------------------------------------------

    async def reached(self, position: int, timeout_s: float = 30.0) -> None:
        """Returns when the tables contain everything up to `position`. Raises ViewBehind after `timeout_s`,
        and at once if the follower has ended, has failed, or has no tables to serve."""
        if position <= self._position and self._is_whole:
            return
        with self._lock:
            if not self._must_wait(position):
                return
            future = self._waiters.add(position)
            self._work.notify()
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            raise self._late(position, timeout_s) from None
        finally:
            with self._lock:
                self._waiters.discard(future)

    def reached_blocking(self, position: int, timeout_s: float = 30.0) -> None:
        """Like `reached`, for threads."""
        with self._lock:
            if not self._must_wait(position):
                return
            future = self._waiters.add_thread(position)
            self._work.notify()
        try:
            future.result(timeout_s)
        except TimeoutError:
            raise self._late(position, timeout_s) from None
        finally:
            with self._lock:
                self._waiters.discard(future)

    def position(self) -> int:
        """The position up to which the served tables are complete."""
        return self._position

    @property
    def tables(self) -> T | None:
        """The tables that are being written; None while they are not open."""
        return self._tables

    @property
    def is_catching_up(self) -> bool:
        """Whether records that were in the log when the tables were opened are still missing from them."""
        return self._position < self._catches_up_to

    # --- rebuilding --------------------------------------------------------------------------------------

    def rebuild(self) -> None:
        """Requests new tables from the log, built next to those that are served. Returns at once; further
        requests in the meantime have no effect."""
        with self._lock:
            self._rebuild_wanted = self._rebuilding = True
            self._work.notify()

    def rebuilt_blocking(self, timeout_s: float = 600.0) -> None:
        """Returns when tables are served and no rebuild is requested or running. Raises ViewBehind after
        `timeout_s`, and if the follower ends."""
        with self._lock:
            self._moved.wait_for(lambda: self._is_rebuilt() or self._ended, timeout_s)
            done = self._is_rebuilt()
        if not done:
            raise ViewBehind("The tables are still being rebuilt.", retry_after_s=10)

    async def rebuilt(self, timeout_s: float = 600.0) -> None:
        """Like `rebuilt_blocking`, without blocking the event loop."""
        await asyncio.to_thread(self.rebuilt_blocking, timeout_s)

    async def rewritten(self) -> None:
        """Returns once the tables are in a file that was started after this call, so that it contains nothing
        that was removed from them before. Raises ViewBehind if the follower ends."""
        number = self._rewrites.ask()
        with self._lock:
            self._rebuilding = True
            self._work.notify()
        if not await asyncio.to_thread(self._rewrites.wait, number):
            raise ViewBehind(_ENDED)

    def follower_state(self) -> FollowerState:
        """Returns the state. Cheap."""
        head = self._source.head()
        with self._lock:
            made = self._next.tables if self._is_whole else self._tables
            return FollowerState(
                position=self._position,
                head=head,
                lag=max(0, head - self._position),
                serving=self._is_whole,
                rebuilding=self._rebuilding,
                rebuild_position=made.position if made is not None else None,
                last_error=f"{type(self._trouble).__name__}: {self._trouble}" if self._trouble else None,
            )

    # --- other threads' side, under the lock -------------------------------------------------------------

    def _wake(self, head: int) -> None:
        with self._lock:
            if head <= self._position:
                return
            is_first = self._pending_since is None
            # While records are collected, the thread is woken only when they become due.
            if is_first or self._due() <= time.monotonic():
                self._pending_since = self._pending_since or time.monotonic()
                self._work.notify()

    def _due(self) -> float:
        since = self._pending_since or time.monotonic()
        return self._source.due(self._position, since, is_awaited=len(self._waiters) > 0)

    def _is_rebuilt(self) -> bool:
        return self._is_whole and not self._rebuilding

    def _must_wait(self, position: int) -> bool:
        if self._is_whole and position <= self._position:
            return False
        if self._ended:
            raise ViewBehind(_ENDED)
        if self._trouble is not None:
            raise ViewBehind(_IN_TROUBLE)
        if not self._is_whole and self._opened.is_set():
            raise ViewBehind(_BEING_BUILT, retry_after_s=5)
        return True

    def _late(self, position: int, timeout_s: float) -> ViewBehind:
        return ViewBehind(
            f"The tables are at position {self._position}, not at {position} after {timeout_s:g} s."
        )

    def _publish(self, tables: T, *, is_whole: bool) -> None:
        """Publishes the state of the tables to all waiting readers."""
        with self._lock:
            self._is_whole = is_whole
            self._position = tables.position if is_whole else 0
            self._pending_since = time.monotonic() if self._source.head() > self._position else None
            self._rebuilding = self._must_build() or not is_whole
            self._trouble = None
            if is_whole:
                self._waiters.resolve(self._position)
            else:
                self._waiters.fail(_BEING_BUILT)
            self._moved.notify_all()

    # --- the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._stop_at is None:
            try:
                if not self._is_open:
                    self._open()
                self._opened.set()
                if self._failures == 0:
                    self._wait_for_work()
                self._take_step()
                self._failures = 0
            except WarehouseClosed:
                break
            except StorageFailed as failure:
                self._repair(failure)
            except Exception as error:
                _log.exception("Following the log into the %s failed and is tried again", self._target.file)
                self._in_trouble(error)
        self._end()

    def _open(self) -> None:
        self._next.give_up()
        self._generation = self._warehouse.generation
        opened = self._target.open()
        self._tables = opened.tables
        self._is_open = True
        self._rebuild_wanted |= opened.is_outdated
        self._catches_up_to = self._source.head()
        if not opened.is_whole:
            self._is_whole = False
            self._follow(opened.tables)  # A log of a single batch is served at once.
        else:
            self._publish(opened.tables, is_whole=True)

    def _wait_for_work(self) -> None:
        """Returns when there is work: a rebuild, or records that are due; at the latest after a second."""
        with self._lock:
            idle_until = time.monotonic() + _IDLE_S
            while self._stop_at is None and self._is_whole:
                due = min(idle_until, self._rewrites.not_before) if self._must_build() else idle_until
                if self._source.head() > self._position:
                    due = min(due, self._due())
                now = time.monotonic()
                if due <= now:
                    return
                self._work.wait(due - now)

    def _take_step(self) -> None:
        if failure := self._warehouse.failure_of(self._target.file):
            raise failure
        self._warehouse.leave_memory()
        if self._warehouse.generation != self._generation:
            self._is_open = False
            return
        assert self._tables is not None
        self._follow(self._tables)
        if self._is_whole and self._must_build() and self._rewrites.is_due():
            self._advance_next(self._tables)
        self._target.tidy(in_bulk=not self._is_whole)

    def _follow(self, tables: T) -> None:
        """Applies one batch to the tables. New ones are served once they have caught up."""
        is_whole = self._is_whole
        if tables.position < self._source.head():
            began = time.monotonic()
            with nullcontext() if is_whole else without_collecting():
                prepared = self._ahead.take(
                    tables, in_bulk=not is_whole, has_more=not is_whole or self.is_catching_up
                )
                # If it fails, only the file contains the position of the tables.
                self._is_open = False
                tables.apply(prepared)
                self._is_open = True
            self._source.applied(tables.position, time.monotonic() - began)
        if not is_whole and tables.position >= self._source.head():
            self._target.finish(tables, None)
            self._target.answer(tables)
            self._rebuild_wanted = False
            is_whole = True
        self._publish(tables, is_whole=is_whole)

    def _advance_next(self, serving: T) -> None:
        """Applies one batch to the tables that are being built."""
        made = self._next.advance(serving, from_log=self._rebuild_wanted)
        if made is not None:
            self._tables = made
            self._rebuild_wanted &= not self._next.is_from_log
            self._source.applied(made.position, 0.0)
        self._publish(made or serving, is_whole=True)

    def _must_build(self) -> bool:
        return self._next.tables is not None or self._rebuild_wanted or self._rewrites.wanted

    def _repair(self, failure: StorageFailed) -> None:
        """Reopens the files; a damaged one is set aside and rebuilt."""
        _log.error("The file of the %s failed: %s", self._target.file, failure)
        self._in_trouble(failure)
        self._is_open = False
        if self._stop_at is not None:
            return
        damaged, in_memory = remedies(self._target.file, failure, self._failures)
        try:
            self._warehouse.reopen(damaged=damaged, generation=self._generation, in_memory=in_memory)
        except (StorageFailed, OSError) as error:
            self._in_trouble(error)

    def _in_trouble(self, error: Exception) -> None:
        """Publishes the error, and pauses."""
        self._failures += 1
        with self._lock:
            self._trouble = error
            self._waiters.fail(_IN_TROUBLE)
            self._moved.notify_all()
            self._opened.set()
            self._work.wait_for(lambda: self._stop_at is not None, pause_s(self._failures))

    def _end(self) -> None:
        """Applies what is in the log, then ends all waits."""
        self._next.close()
        try:
            tables = self._tables
            while self._may_go_on() and tables is not None:
                if tables.position >= self._source.head():
                    tables.store_position()
                    break
                self._follow(tables)
        except Exception as error:
            _log.error("The last records could not be applied to the %s: %s", self._target.file, error)
        self._ahead.close()
        with self._lock:
            self._ended = True
            self._rewrites.end()
            self._waiters.fail(_ENDED)
            self._moved.notify_all()
            self._opened.set()

    def _may_go_on(self) -> bool:
        is_near = self._is_open and self._is_whole and not self.is_catching_up
        return is_near and time.monotonic() < (self._stop_at or 0)
