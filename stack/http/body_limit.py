"""Limits on a request's body while it arrives: its size, its pace, and the memory of all bodies together."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar.types import Receive
from msgspec import Struct

from stack.errors import ReplaystackError, RequestTimeout, TooLarge, Unavailable
from stack.settings import Settings

DRAIN_S = 2.0
DRAIN_BYTES = 64 * 2**20
UNCOUNTED_BYTES = 64 * 2**10
"""The start of a body that takes no share of what may be in flight: small requests always find room."""
RETRY_AFTER_S = 2


class BodyRefused(Exception):
    """The body is too large, too slow, or finds no room. `refusal` is the answer."""

    def __init__(self, refusal: ReplaystackError) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class BytesInFlight:
    """The bytes of request bodies that are in memory, counted as they arrive. Used on one event loop."""

    __slots__ = ("held", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def has_room(self, size: int) -> bool:
        """One request is let in however large it is."""
        return self.held == 0 or self.held + size <= self.most


class BodyLimits(Struct, frozen=True):
    """What holds for every body. Sizes in bytes, times in seconds."""

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
    """One request's body.

    Only time spent waiting for the client counts. A body that brings less than the least pace in `timeout_s` of it
    is refused, and so is one that is not complete after `deadline_s`.
    """

    __slots__ = (
        "_counted",
        "_in_flight",
        "_left_s",
        "_limits",
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
        """`announced` is the size that the client names, 0 for no body, None for a size that it does not name.
        Raises BodyRefused."""
        self._upstream = receive
        self._limits = limits
        self._in_flight = in_flight
        self._counted = 0
        self._left_s = limits.deadline_s
        self._window_s = limits.timeout_s
        self._window_bytes = 0
        self.received = 0
        self.complete = announced == 0
        # The client went away before its body was complete.
        self.left = False
        if announced is not None:
            if announced > limits.max_bytes:
                raise self._too_large()
            # Nothing is held for what is only announced.
            if announced > UNCOUNTED_BYTES and not in_flight.has_room(announced - UNCOUNTED_BYTES):
                raise _no_room()

    async def receive(self) -> Any:
        """The next ASGI message. Raises BodyRefused."""
        if self.complete:
            return await self._upstream()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(min(self._window_s, self._left_s)):
                message = await self._upstream()
        except TimeoutError:
            raise self._too_slow() from None
        if message["type"] != "http.request":
            self.left = True
            return message
        self.complete = not message.get("more_body", False)
        self._count(len(message.get("body", b"")))
        self._pace(loop.time() - began, len(message.get("body", b"")))
        return message

    def release(self) -> None:
        """The body is not held any more. Calling it again does nothing."""
        self._in_flight.held -= self._counted
        self._counted = 0

    def _count(self, size: int) -> None:
        self.received += size
        if self.received > self._limits.max_bytes:
            raise self._too_large()
        counted = self.received - UNCOUNTED_BYTES - self._counted
        if counted > 0:
            in_flight = self._in_flight
            in_flight.held -= self._counted
            if not in_flight.has_room(self._counted + counted):
                self._counted = 0
                raise _no_room()
            self._counted += counted
            in_flight.held += self._counted

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
    """Takes in and drops what a client still sends, within limits of time and size."""
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
