"""Counts a request's body while it comes in, and refuses what is too large at the first byte too many."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar.types import Receive

DRAIN_S = 2.0
DRAIN_BYTES = 64 * 2**20


class BodyTooLarge(Exception):
    """The request's body passed the limit."""


class LimitedBody:
    """`left` tells that the client went away before its body was complete: nobody's error."""

    __slots__ = ("_complete", "_limit", "_received", "_upstream", "left")

    def __init__(self, receive: Receive, limit_bytes: int, has_body: bool) -> None:
        self._upstream = receive
        self._limit = limit_bytes
        self._received = 0
        self._complete = not has_body
        self.left = False

    async def receive(self) -> Any:
        message = await self._upstream()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._received > self._limit:
                raise BodyTooLarge
        elif not self._complete:
            self.left = True
        return message


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
    except TimeoutError:
        return
