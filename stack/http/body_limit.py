"""Limits on a request's body while it is received: its size, its rate, and the memory of all bodies
together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from litestar.types import Receive
from msgspec import Struct

from stack.errors import ReplaystackError, RequestTimeout, TooLarge, Unavailable
from stack.settings import Settings

DRAIN_S = 2.0
DRAIN_BYTES = 64 * 2**20
UNCOUNTED_BYTES = 64 * 2**10
"""The first bytes of each body that do not count against the shared limit: small requests are always
accepted."""
RETRY_AFTER_S = 1
ROOM_WAIT_S = 2.0
"""How long received bytes wait for free memory, in seconds."""
MAKES_WAY_AFTER_S = 1.0
"""A sender is not considered slow until the server has waited for it this long in total, in seconds."""
_LOOK_AGAIN_S = 0.05

T = TypeVar("T")


class BodyRefused(Exception):
    """The body is too large, too slow, or exceeds the available memory. `refusal` is the error response."""

    def __init__(self, refusal: ReplaystackError) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class NoRoom(Exception):
    """There is no memory for more bytes, or it was given to others while the server waited for this
    sender."""


class BytesInFlight:
    """The bytes of request bodies in memory, counted as they arrive. Used on one event loop.

    When the limit is reached, the sender for which the server has waited longest is cancelled to free memory,
    so that slow senders never block fast ones. One body at a time may exceed the limit: otherwise several
    incomplete bodies would wait for each other.
    """

    __slots__ = ("awaited", "exceeding", "held", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self.awaited: set[Share] = set()
        self.exceeding: Share | None = None

    def make_room(self, size: int, share: Share) -> bool:
        """Returns whether `size` more bytes of `share` are accepted, freeing memory of others if
        necessary."""
        while self.held + size > self.most:
            slow = [one for one in self.awaited if one.counted and one.waited_s() >= MAKES_WAY_AFTER_S]
            if not slow:
                if self.exceeding not in (None, share):
                    return False
                self.exceeding = share
                break
            max(slow, key=Share.waited_s).evict()
        return True


class Share:
    """The bytes that one sender has in memory, and the total time for which the server has waited for it."""

    __slots__ = ("_in_flight", "_made_way", "_since", "_timeout", "_waited_s", "counted")

    def __init__(self, in_flight: BytesInFlight) -> None:
        self._in_flight = in_flight
        self._made_way = False
        self._since: float | None = None
        self._timeout: asyncio.Timeout | None = None
        self._waited_s = 0.0
        self.counted = 0

    async def wait(self, read: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Waits for the sender's next message. Raises TimeoutError, and NoRoom if its memory was given to
        others meanwhile."""
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        self._in_flight.awaited.add(self)
        try:
            async with asyncio.timeout(timeout_s) as self._timeout:
                return await read()
        except TimeoutError:
            if self._made_way:
                raise NoRoom from None
            raise
        finally:
            self._in_flight.awaited.discard(self)
            self._waited_s += loop.time() - self._since
            self._since = self._timeout = None

    async def count(self, size: int) -> None:
        """Counts `size` more bytes as soon as there is memory for them. Raises NoRoom if there is none in
        time."""
        until = asyncio.get_running_loop().time() + ROOM_WAIT_S
        while self._made_way or not self._in_flight.make_room(size, self):
            if self._made_way or asyncio.get_running_loop().time() >= until:
                raise NoRoom
            await asyncio.sleep(_LOOK_AGAIN_S)
        self.counted += size
        self._in_flight.held += size

    def release(self) -> None:
        """Releases everything. Further calls have no effect."""
        self._in_flight.held -= self.counted
        self.counted = 0
        if self._in_flight.exceeding is self:
            self._in_flight.exceeding = None

    def waited_s(self) -> float:
        """The total time in seconds for which the server has waited for the sender."""
        now_s = asyncio.get_running_loop().time() - self._since if self._since is not None else 0.0
        return self._waited_s + now_s

    def evict(self) -> None:
        """Cancels the wait for the sender, and releases its memory for others."""
        self._made_way = True
        self.release()
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())


class BodyLimits(Struct, frozen=True):
    """Limits of every body. Sizes in bytes, times in seconds."""

    max_bytes: int
    timeout_s: float
    min_bytes_per_s: int
    deadline_s: float

    @classmethod
    def of(cls, settings: Settings) -> BodyLimits:
        return cls(
            settings.max_body_bytes,
            settings.body_timeout_s,
            settings.min_body_bytes_per_s,
            settings.body_deadline_s,
        )


class IncomingBody:
    """The body of one request.

    Only time spent waiting for the client counts. A body is refused if its rate is lower than the minimum
    after `timeout_s` of waiting, or if it is incomplete after `deadline_s`.
    """

    __slots__ = (
        "_left_s",
        "_limits",
        "_share",
        "_upstream",
        "_window_bytes",
        "_window_s",
        "complete",
        "left",
        "received",
    )

    def __init__(
        self, receive: Receive, limits: BodyLimits, in_flight: BytesInFlight, announced: int | None
    ) -> None:
        """`announced` is the size announced by the client, 0 for no body, None for an unknown size. Raises
        BodyRefused."""
        self._upstream = receive
        self._limits = limits
        self._share = Share(in_flight)
        self._left_s = limits.deadline_s
        self._window_s = limits.timeout_s
        self._window_bytes = 0
        self.received = 0
        self.complete = announced == 0
        # The client disconnected before its body was complete.
        self.left = False
        # Announced bytes are not counted before they arrive.
        if announced is not None and announced > limits.max_bytes:
            raise self._too_large()

    async def receive(self) -> Any:
        """Returns the next ASGI message. Raises BodyRefused."""
        if self.complete:
            return await self._upstream()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            message = await self._share.wait(self._upstream, min(self._window_s, self._left_s))
        except TimeoutError:
            raise self._too_slow() from None
        except NoRoom:
            raise _no_room() from None
        if message["type"] != "http.request":
            self.left = True
            return message
        self.complete = not message.get("more_body", False)
        self._pace(loop.time() - began, len(message.get("body", b"")))
        await self._count(len(message.get("body", b"")))
        return message

    def release(self) -> None:
        """Releases the body's memory. Further calls have no effect."""
        self._share.release()

    async def _count(self, size: int) -> None:
        self.received += size
        if self.received > self._limits.max_bytes:
            raise self._too_large()
        counted = self.received - UNCOUNTED_BYTES - self._share.counted
        if counted > 0:
            try:
                await self._share.count(counted)
            except NoRoom:
                self.release()
                raise _no_room() from None

    def _pace(self, waited_s: float, size: int) -> None:
        limits = self._limits
        self._left_s -= waited_s
        self._window_s -= waited_s
        self._window_bytes += size
        if self._window_bytes >= max(1, limits.min_bytes_per_s * limits.timeout_s):
            self._window_s = limits.timeout_s
            self._window_bytes = 0

    def _too_large(self) -> BodyRefused:
        return BodyRefused(
            TooLarge(
                f"The body is larger than {self._limits.max_bytes} bytes. Send less at a time, or raise "
                "max_body_bytes."
            )
        )

    def _too_slow(self) -> BodyRefused:
        limits = self._limits
        if self._left_s <= self._window_s:
            detail = f"The body was not complete within {limits.deadline_s:g} s (body_deadline_s)."
        else:
            detail = (
                f"The body arrived too slowly: less than {limits.min_bytes_per_s} bytes a second for "
                f"{limits.timeout_s:g} s (min_body_bytes_per_s, body_timeout_s)."
            )
        return BodyRefused(RequestTimeout(f"{detail} Send it again, in smaller parts if it is large."))


def _no_room() -> BodyRefused:
    return BodyRefused(
        Unavailable(
            "The requests that are being read fill the memory that they may take (max_bytes_in_flight). Nothing "
            "was stored; send this again later.",
            retry_after=RETRY_AFTER_S,
        )
    )


async def drain(receive: Receive) -> None:
    """Reads and discards what a client still sends, within limits of time and size."""
    taken = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            while taken < DRAIN_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                taken += len(message.get("body", b""))
    except (TimeoutError, BodyRefused):
        return
