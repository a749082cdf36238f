"""Streams frames that come from an asynchronous source as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from litestar.types import Receive, Scope, Send

KEEP_ALIVE = b": \n"


class EventStream:
    """Sends what `frames` gives until it ends or the client leaves; empty bytes stand for a silence. The source is
    read no faster than the client takes it."""

    def __init__(self, frames: AsyncGenerator[bytes, None], headers: dict[str, str] | None = None) -> None:
        self._frames = frames
        self._headers = headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *((name.encode(), value.encode()) for name, value in self._headers.items()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            whole = await until_left(self._send(send), receive)
        finally:
            await self._frames.aclose()
        if whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        async for frame in self._frames:
            await send({"type": "http.response.body", "body": frame or KEEP_ALIVE, "more_body": True})


async def until_left(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Does the work to its end, or cancels it when the client leaves: then False. Raises what the work raises."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
        await asyncio.wait([working])
    if working.cancelled():
        return False
    working.result()
    return True


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
