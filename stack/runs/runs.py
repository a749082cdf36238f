"""The runs of one kind in this process: started, recorded, followed, stopped, and taken over after a
crash."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar

from schemas.events.base import Event
from stack.errors import ReplaystackError, Unavailable, VersionConflict
from stack.eventstore import Append, EventStore, StreamWrite
from stack.runs.ownership import Ownership
from stack.runs.run import Run, Stop
from stack.runs.supervisor import Supervisor
from stack.runs.uninterrupted import uninterrupted

logger = logging.getLogger("replaystack.runs")

RECORD_RETRY_S = (0.05, 0.2, 1.0, 2.0)
HURRIED_ATTEMPTS = 3
RECOVERY_RETRY_S = 1.0

R = TypeVar("R", bound=Run)
T = TypeVar("T")

Stamp = Callable[[Sequence[Event]], Sequence[Event]]
"""Adds to events the caller on whose behalf they are recorded."""
Others = Callable[[], Awaitable[Sequence[StreamWrite]]]
"""Returns the writes to other streams in the same append, decided from their current state. Raises
Superseded."""


class Superseded(Exception):
    """Another writer ended the run or deleted its parent: this process has nothing more to record."""


class Runs(Generic[R]):
    """`running` holds the runs that this process drives now, by stream."""

    def __init__(self, store: EventStore, supervisor: Supervisor, ownership: Ownership) -> None:
        self._store = store
        self._supervisor = supervisor
        self.ownership = ownership
        self._opening: dict[asyncio.Future[None], str] = {}
        self._settled = asyncio.Event()
        self._hurried = False
        self.closing = False
        """True during shutdown: no further run is started."""
        self.running: dict[str, R] = {}

    @contextmanager
    def opening(self, stream: str) -> Iterator[None]:
        """Surrounds the append that opens a run, or takes one over, and its launch: attaching requests wait
        for the outcome."""
        opening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._opening[opening] = stream
        try:
            yield
        finally:
            del self._opening[opening]
            opening.set_result(None)

    def launch(self, run: R, work: Coroutine[Any, Any, None]) -> None:
        """Starts an open run in the background. `work` awaits `drive`."""
        self.running[run.stream] = run
        run.task = self._supervisor.spawn(run.stream, work, listed=False)
        # A task that is cancelled before its first step never reaches `drive`.
        run.task.add_done_callback(lambda _: self._leave(run))

    async def drive(
        self,
        run: R,
        work: Callable[[], Awaitable[None]],
        stop: Callable[[Stop, str], Awaitable[None]],
    ) -> None:
        """Does the work until the run has ended or waits for a request. If it is stopped earlier, `stop`
        records its end, or only its outcomes if it is parked."""
        try:
            try:
                run.begun = True
                if run.stopping:
                    raise asyncio.CancelledError
                await work()
            except asyncio.CancelledError:
                run.ending = True
                await stop(*(run.stopping or ("parked", "")))
        except Superseded:
            logger.info("%s was ended by another request", run.stream)
        finally:
            self._leave(run)

    async def record(
        self, run: R, stamp: Stamp, events: Sequence[Event] = (), others: Others | None = None
    ) -> None:
        """Appends the waiting outcomes and then these events, and publishes their frames. Waits while the log
        cannot accept events (a full disk).

        Raises Superseded. If it is cancelled, either all of the events are in the log, or none, and then the
        outcomes still wait.
        """
        if not run.outcomes and not events:
            return
        for attempt in count():
            try:
                return await uninterrupted(self._append(run, stamp, events, others))
            except Unavailable as error:
                # The refusal replaced the stop; or the process is about to end.
                if (run.stopping and not run.ending) or (self._hurried and attempt >= HURRIED_ATTEMPTS):
                    raise asyncio.CancelledError from error
                logger.warning("%s waits for the event log: %s", run.stream, error.detail)
                await asyncio.sleep(RECORD_RETRY_S[min(attempt, len(RECORD_RETRY_S) - 1)])
            except (ReplaystackError, Superseded):
                # The log will never accept them.
                run.outcomes.clear()
                raise

    async def _append(self, run: R, stamp: Stamp, events: Sequence[Event], others: Others | None) -> None:
        outcomes = len(run.outcomes)
        stamped = stamp([*run.outcomes, *events])
        while True:
            writes = await others() if others is not None else ()
            try:
                appended = await self._store.append(
                    Append((StreamWrite(run.stream, run.version, stamped), *writes))
                )
                break
            except VersionConflict as error:
                if error.stream == run.stream:
                    raise Superseded from error
        del run.outcomes[:outcomes]
        run.publish(stamped, appended.recorded_at[: len(stamped)])

    async def attach(self, stream: str, is_open: Callable[[], Awaitable[bool]]) -> R | None:
        """Returns the run if this process drives it, otherwise None. A run that `is_open` but not driven may
        be about to be: it waits for a request that is opening it, and after a start until all runs were taken
        over."""
        while (run := self.running.get(stream)) is None:
            if opening := self._opens(stream):
                await asyncio.wait([opening])
            elif not await is_open() or self.closing:
                return self.running.get(stream)
            elif stream not in self.running and not self._opens(stream):
                if self._settled.is_set():
                    return None
                await self._settled.wait()
        return run

    def _opens(self, stream: str) -> asyncio.Future[None] | None:
        return next((opening for opening, name in self._opening.items() if name == stream), None)

    async def recover(
        self, open_runs: Callable[[], Awaitable[Sequence[R]]], take_up: Callable[[R], Awaitable[None]]
    ) -> None:
        """Takes over those of `open_runs` that the last process left, in their order. One that cannot be
        taken over is not changed."""

        async def look(run: R) -> None:
            await run.load()
            if run.is_open and run.stream not in self.running and self.ownership.was_left(run.owner):
                await take_up(run)

        for run in await _patiently("open runs", open_runs):
            try:
                await _patiently(run.stream, partial(look, run))
            except (ReplaystackError, Superseded) as error:
                logger.info("%s is not taken up: %s", run.stream, error)
        self._settled.set()

    async def settled(self) -> None:
        """Returns once all runs that the last process left were taken over."""
        await self._settled.wait()

    async def park(self, grace_s: float) -> None:
        """Lets runs finish for `grace_s`, then leaves the rest open for the next start. It no longer waits
        for a log that cannot accept events."""
        self.closing = True
        self._settled.set()
        await self._idle(grace_s)
        self._hurried = True
        for run in list(self.running.values()):
            run.request_stop("parked", "The server is shutting down.")
        await self._idle(None)

    async def _idle(self, timeout_s: float | None) -> None:
        tasks = [run.task for run in self.running.values() if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    def _leave(self, run: R) -> None:
        if self.running.get(run.stream) is run:
            del self.running[run.stream]
        run.live.end()


async def _patiently(name: str, work: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await work()
        except Unavailable as error:
            logger.warning("%s: recovery waits: %s", name, error.detail)
            await asyncio.sleep(RECOVERY_RETRY_S)
