"""Server-sent events: the headers of every event stream, and the pace at which its frames are sent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from stack.errors import Invalid
from stack.http.leaving import disconnected
from stack.runs.live import Frame

FRAMES_OF_A_PIECE = 256
KEEP_ALIVE = b": \n"
UNBUFFERED = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
"""Headers of every event stream. Compressing proxies delay frames without `no-transform`, and nginx does
without `x-accel-buffering`."""


LEAST_PAUSE_S = 0.002
"""Frames that are due within this time are sent together: waiting for less costs more than it shows."""
MOST_LAG_S = 1.0
"""A reader that is slower than the pace is not sent more than this at once when it reads again."""


class FrameSource(Protocol):
    """The position of one reader in a stream: a `Follower`, or what is used like one."""

    @property
    def ended(self) -> bool: ...

    async def next(self, timeout_s: float) -> Sequence[Frame]: ...

    def leave(self) -> None: ...


class LongStreams:
    """Streams that would outlast a shutdown: replays at a pace, and the events of the log. It ends them; their readers
    continue after the next start."""

    def __init__(self) -> None:
        self._open: set[EventStream] = set()
        self._ended = False

    def add(self, stream: EventStream) -> None:
        self._open.add(stream)
        if self._ended:
            stream.leave()

    def discard(self, stream: EventStream) -> None:
        self._open.discard(stream)

    def end(self) -> None:
        """Ends all streams, and those that are still to come."""
        self._ended = True
        for stream in self._open:
            stream.leave()


class EventStream:
    """Streams the frames of a source until it ends or the client disconnects. A run continues at its own pace, however
    slowly the client reads.

    `speed` sends frames at their recorded pace (1.0) or a multiple of it; 0 sends without delays. A stream that may take
    long is one of `long`.
    """

    def __init__(
        self,
        source: FrameSource,
        headers: Mapping[str, str],
        keep_alive_s: float,
        speed: float = 0.0,
        long: LongStreams | None = None,
    ) -> None:
        self._source = source
        self._headers = headers
        self._keep_alive_s = keep_alive_s
        self._speed = speed
        self._long = long
        self._due_s = 0.0
        self._gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(_start(self._headers))
        watch = asyncio.ensure_future(self._watch(receive))
        source = self._source
        if self._long is not None:
            self._long.add(self)
        self._due_s = _now_s()
        try:
            while not source.ended:
                frames = await source.next(self._keep_alive_s)
                if frames and self._speed:
                    await self._send_paced(frames, send)
                elif frames:
                    await self._send_at_once([frame.body for frame in frames], send)
                elif not source.ended:
                    await _send(send, KEEP_ALIVE)
        finally:
            watch.cancel()
            source.leave()
            if self._long is not None:
                self._long.discard(self)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def leave(self) -> None:
        """Ends the stream."""
        self._gone.set()
        self._source.leave()

    async def _send_at_once(self, bodies: Sequence[bytes], send: Send) -> None:
        """Sends many frames in pieces: a client that does not read costs the memory of one."""
        for start in range(0, len(bodies), FRAMES_OF_A_PIECE):
            if self._gone.is_set():
                return
            await _send(send, b"".join(bodies[start : start + FRAMES_OF_A_PIECE]))

    async def _send_paced(self, frames: Sequence[Frame], send: Send) -> None:
        """Sends each frame when it is due."""
        ready: list[bytes] = []
        for frame in frames:
            self._due_s = max(self._due_s, _now_s() - MOST_LAG_S) + frame.delay_ms / 1000 / self._speed
            if self._due_s - _now_s() > LEAST_PAUSE_S:
                await self._send_at_once(ready, send)
                ready = []
                await self._pause(send)
            if self._gone.is_set():
                return
            ready.append(frame.body)
        await self._send_at_once(ready, send)

    async def _pause(self, send: Send) -> None:
        while (left_s := self._due_s - _now_s()) > 0 and not self._gone.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), min(left_s, self._keep_alive_s))
            if left_s > self._keep_alive_s and not self._gone.is_set():
                await _send(send, KEEP_ALIVE)

    async def _watch(self, receive: Receive) -> None:
        await disconnected(receive)
        self.leave()


def _now_s() -> float:
    return asyncio.get_running_loop().time()


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


SLOWEST = 0.01
"""The minimum replay speed: at lower speeds a turn of seconds would occupy a connection for hours."""


def speed_of(request: Request[Any, Any, Any]) -> float:
    """Returns the query parameter `speed`: 0 for frames without delays, which `max` means too. Raises Invalid."""
    text = request.query_params.get("speed", "0")
    try:
        speed = 0.0 if text == "max" else float(text)
    except ValueError:
        speed = -1.0
    if speed != 0 and not (SLOWEST <= speed < math.inf):
        raise Invalid(
            f"speed is {text[:40]!r}; it must be 0 or max (do not wait), or a number of {SLOWEST} or more "
            "(1 is the recorded pace)."
        )
    return speed
