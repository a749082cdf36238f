"""Server-sent events: the headers of every event stream, and the stream of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from stack.http.leaving import disconnected
from stack.runs.live import Follower, Frame

FRAMES_OF_A_PIECE = 256
KEEP_ALIVE = b": \n"
UNBUFFERED = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
"""Headers of every event stream. Compressing proxies delay frames without `no-transform`, and nginx does
without `x-accel-buffering`."""


class EventStream:
    """Streams the frames of a run until the run ends or the client disconnects. The run continues at its own
    pace, however slowly the client reads.

    `speed` replays a run that has ended at its recorded pace (1.0) or a multiple of it; 0 sends without
    delays.
    """

    def __init__(
        self, follower: Follower, headers: Mapping[str, str], keep_alive_s: float, speed: float = 0.0
    ) -> None:
        self._follower = follower
        self._headers = headers
        self._keep_alive_s = keep_alive_s
        self._speed = speed
        self._gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(_start(self._headers))
        watch = asyncio.ensure_future(self._watch(receive))
        follower = self._follower
        try:
            while not follower.ended:
                frames = await follower.next(self._keep_alive_s)
                if frames and self._speed:
                    await self._send_paced(frames, send)
                elif frames:
                    await self._send_at_once(frames, send)
                elif not follower.ended:
                    await _send(send, KEEP_ALIVE)
        finally:
            watch.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_at_once(self, frames: Sequence[Frame], send: Send) -> None:
        """Sends many frames in pieces: a client that does not read costs the memory of one."""
        for start in range(0, len(frames), FRAMES_OF_A_PIECE):
            if self._gone.is_set():
                return
            piece = frames[start : start + FRAMES_OF_A_PIECE]
            await _send(send, b"".join([frame.body for frame in piece]))

    async def _send_paced(self, frames: Sequence[Frame], send: Send) -> None:
        for frame in frames:
            pause_s = frame.delay_ms / 1000 / self._speed
            while pause_s > 0 and not self._gone.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._gone.wait(), min(pause_s, self._keep_alive_s))
                pause_s -= self._keep_alive_s
                if pause_s > 0 and not self._gone.is_set():
                    await _send(send, KEEP_ALIVE)
            if self._gone.is_set():
                return
            await _send(send, frame.body)

    async def _watch(self, receive: Receive) -> None:
        await disconnected(receive)
        self._gone.set()
        self._follower.leave()


async def _send(send: Send, body: bytes) -> None:
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})


def _start(headers: Mapping[str, str]) -> Any:
    """Returns the ASGI message that starts an event stream."""
    named = {"content-type": "text/event-stream; charset=utf-8", **UNBUFFERED, **headers}
    return {"type": "http.response.start", "status": 200, "headers": _encoded(named)}


def no_more_events(headers: Mapping[str, str]) -> ASGIApp:
    """Responds with 204 to a reader that already has the whole stream of a run that has ended. A browser's
    EventSource reconnects after every stream, and only stops on 204 (WHATWG HTML, 9.2)."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        named = _encoded({**UNBUFFERED, **headers})
        await send({"type": "http.response.start", "status": 204, "headers": named})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return answer


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
