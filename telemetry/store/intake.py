"""Takes requests of senders: decoded, checked, durable in the log, on their way into the tables.

What is on the way is bounded: who comes while too much is, waits for room, and is refused when there is none in time.
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
"""Of the bodies that are on the way: 55,000 spans, of which the tables take as many in a second."""
ROOM_WAIT_S = 5.0
MAX_WAITING = 1024
_UNPACKED = 8
"""What is compressed counts for so many times its bytes."""


class Room:
    """A share of what may be on the way. Belongs to its request until that is durable, then to the projector."""

    __slots__ = ("_intake", "size")

    def __init__(self, intake: Intake, size: int) -> None:
        self._intake = intake
        self.size = size

    def give_back(self) -> None:
        """In the event loop's thread; once is enough, twice does no harm."""
        size, self.size = self.size, 0
        self._intake.give_back(size)


class Intake:
    """Of one event loop. All but `take_from_thread` is called there."""

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

    async def room(self, size: int, compressed: bool = False) -> Room:
        """Room for a body of so many bytes, as soon as there is some. Raises IntakeFull after `ROOM_WAIT_S`."""
        size = max(1, size * _UNPACKED if compressed else size)
        if not self._waiting and self._fits(size):
            self._held += size
            return Room(self, size)
        if len(self._waiting) >= MAX_WAITING:
            raise _full()
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((turn, size))
        try:
            async with asyncio.timeout(ROOM_WAIT_S):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            else:
                with suppress(ValueError):
                    self._waiting.remove((turn, size))
            if isinstance(error, TimeoutError):
                raise _full() from None
            raise
        return Room(self, size)

    async def take(self, content: Content, body: bytes, max_bytes: int, room: Room) -> Decoded:
        """Returns once the request is durable; a reader that begins then finds it. `max_bytes` bounds the body once it
        is unpacked; `room` is given back when it is in the tables, or not taken.

        Raises Malformed, TooLarge, IntakeFull, and LogFailed when the disk does not take it.
        """
        try:
            decoded = await asyncio.wrap_future(self._decoder.decode(content, body, max_bytes))
            appended = self._log.append(content, body)
        except LogFull:
            room.give_back()
            raise _full() from None
        except BaseException:
            room.give_back()
            raise
        # Whether or not somebody still waits: it is in the log then.
        appended.add_done_callback(partial(self._appended, decoded, room))
        await asyncio.shield(asyncio.wrap_future(appended))
        return decoded

    def _appended(self, decoded: Decoded, room: Room, appended: Future[int]) -> None:
        """In the log's thread."""
        give_back = partial(_call_in, self._loop, room)
        if appended.exception() is None:
            self._projector.offer(appended.result(), decoded, give_back)
        else:
            give_back()

    def take_from_thread(self, content: Content, body: bytes) -> None:
        """As `take`, in another thread, for what is made here: there is always room for it, and no limit. Blocks until
        it is durable."""
        taking = self.take(content, body, ACCEPTED_BYTES, Room(self, 0))
        asyncio.run_coroutine_threadsafe(taking, self._loop).result(30.0)

    def give_back(self, size: int) -> None:
        """A waiter gets it in turn."""
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
        """One request is let in however large it is."""
        return self._held == 0 or self._held + size <= self._max_bytes


def _call_in(loop: asyncio.AbstractEventLoop, room: Room) -> None:
    # A loop that has ended has no one left who waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(room.give_back)


def _full() -> IntakeFull:
    return IntakeFull(
        f"More telemetry is on its way into the store than may wait. Send again in {IntakeFull.retry_after_s} s."
    )
