"""Accepts requests of senders: decodes and validates them, makes them durable in the log, and passes them to
the tables.

The memory of these requests is limited: when the limit is reached, requests wait, and are refused after a
timeout.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from telemetry.log.port import Content, LogFull, TelemetryLog
from telemetry.store.arrivals import ACCEPTED_BYTES
from telemetry.store.decoding import Decoder
from telemetry.store.projector import Projector
from telemetry.wire.decoded import Decoded
from telemetry.wire.refusals import IntakeFull

MAX_BYTES = 32 * 2**20
"""Maximum total size of the bodies in progress, in bytes: 55,000 spans, about what the tables store in a
second."""
ROOM_WAIT_S = 5.0
MAX_WAITING = 1024
_UNPACKED = 8
"""Factor by which the size of compressed bodies is multiplied."""


class Reservation:
    """A share of the memory limit. It belongs to its request until that is durable, then to the projector."""

    __slots__ = ("_intake", "size")

    def __init__(self, intake: Intake, size: int) -> None:
        self._intake = intake
        self.size = size

    def release(self) -> None:
        """Releases the share, in the event loop's thread. Further calls have no effect."""
        size, self.size = self.size, 0
        self._intake.release(size)


class Intake:
    """Used on one event loop, except for `take_from_thread`."""

    def __init__(
        self, log: TelemetryLog, decoder: Decoder, projector: Projector, max_bytes: int = MAX_BYTES
    ) -> None:
        self._log = log
        self._decoder = decoder
        self._projector = projector
        self._max_bytes = max_bytes
        self._held = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._loop = asyncio.get_running_loop()

    async def reserve(self, size: int, compressed: bool = False) -> Reservation:
        """Waits for memory for a body of this size. Raises IntakeFull after `ROOM_WAIT_S`."""
        size = max(1, size * _UNPACKED if compressed else size)
        if not self._waiting and self._fits(size):
            self._held += size
            return Reservation(self, size)
        if len(self._waiting) >= MAX_WAITING:
            raise _full()
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((turn, size))
        try:
            async with asyncio.timeout(ROOM_WAIT_S):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.release(size)
            else:
                with suppress(ValueError):
                    self._waiting.remove((turn, size))
            if isinstance(error, TimeoutError):
                raise _full() from None
            raise
        return Reservation(self, size)

    async def take(self, content: Content, body: bytes, max_bytes: int, reservation: Reservation) -> Decoded:
        """Returns once the request is durable; a reader that starts afterwards finds it. `max_bytes` limits
        the decompressed body; `reservation` is released when the request is in the tables, or refused.

        Raises Malformed, TooLarge, IntakeFull, and LogFailed if writing fails.
        """
        try:
            decoded = await asyncio.wrap_future(self._decoder.decode(content, body, max_bytes))
            appended = self._log.append(content, body)
        except LogFull:
            reservation.release()
            raise _full() from None
        except BaseException:
            reservation.release()
            raise
        # Even if the caller no longer waits, because the request is in the log.
        appended.add_done_callback(partial(self._appended, decoded, reservation))
        await asyncio.shield(asyncio.wrap_future(appended))
        return decoded

    def _appended(self, decoded: Decoded, reservation: Reservation, appended: Future[int]) -> None:
        """Called in the log's thread."""
        release = partial(_call_in, self._loop, reservation)
        if appended.exception() is None:
            self._projector.offer(appended.result(), decoded, release)
        else:
            release()

    def take_from_thread(self, content: Content, body: bytes) -> None:
        """Like `take` in another thread, for the server's own telemetry, which is not limited. Blocks until
        it is durable."""
        taking = self.take(content, body, ACCEPTED_BYTES, Reservation(self, 0))
        asyncio.run_coroutine_threadsafe(taking, self._loop).result(30.0)

    def release(self, size: int) -> None:
        """Releases memory, which is given to waiting requests in order."""
        self._held -= size
        while self._waiting:
            turn, wanted = self._waiting[0]
            if not (turn.done() or self._fits(wanted)):
                return
            self._waiting.popleft()
            if not turn.done():
                self._held += wanted
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        """Returns whether the request fits. A single request is accepted at any size."""
        return self._held == 0 or self._held + size <= self._max_bytes


def _call_in(loop: asyncio.AbstractEventLoop, reservation: Reservation) -> None:
    # If the loop has ended, there are no waiting callers left.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(reservation.release)


def _full() -> IntakeFull:
    return IntakeFull(
        f"More telemetry is on its way into the store than may wait. Send again in {IntakeFull.retry_after_s} s."
    )
