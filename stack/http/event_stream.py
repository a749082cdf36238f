"""Server-sent events: the headers of every event stream, and streams of frames from an asynchronous source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

KEEP_ALIVE = b": \n"
UNBUFFERED = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
"""Headers of every event stream. Proxies that compress hold frames back unless `no-transform` is said, and nginx
unless `x-accel-buffering` is."""


class EventStream:
    """Sends what `frames` gives until it ends or the client leaves; empty bytes stand for a silence. The source is
    read no faster than the client takes it."""

    def __init__(self, frames: AsyncGenerator[bytes, None], headers: dict[str, str] | None = None) -> None:
        self._frames = frames
        self._headers = headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(stream_start(self._headers))
        try:
            whole = await until_left(self._send(send), receive)
        finally:
            await self._frames.aclose()
        if whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        async for frame in self._frames:
            await send({"type": "http.response.body", "body": frame or KEEP_ALIVE, "more_body": True})


def stream_start(headers: Mapping[str, str]) -> Any:
    """The ASGI message that begins an event stream."""
    named = {"content-type": "text/event-stream; charset=utf-8", **UNBUFFERED, **headers}
    return {"type": "http.response.start", "status": 200, "headers": _encoded(named)}


def nothing_follows(headers: Mapping[str, str]) -> ASGIApp:
    """The answer to a reader that already has the whole of a stream that has ended: 204. A browser's EventSource
    connects again after every stream, and stops only here (WHATWG HTML, 9.2)."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        named = _encoded({**UNBUFFERED, **headers})
        await send({"type": "http.response.start", "status": 204, "headers": named})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return answer


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


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
