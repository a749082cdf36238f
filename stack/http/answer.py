"""Answers: JSON bodies, empty ones, and the streamed frames of a turn."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from stack.domain.stream_position import StreamPosition
from stack.http.event_stream import KEEP_ALIVE, stream_start
from stack.services.turns.live_turn import TurnReader
from stack.services.turns.running_turn import RunningTurn

_encode = msgspec.json.Encoder().encode

TURN_ID_HEADER = "x-turn-id"


def json_answer(value: Any, headers: dict[str, str] | None = None) -> ASGIResponse:
    return ASGIResponse(body=_encode(value), media_type="application/json", headers=headers)


def empty_answer() -> ASGIResponse:
    """200 without a body: the contract's answer to what has no result."""
    return ASGIResponse(body=b"", media_type="application/json", headers={"content-length": "0"})


class TurnStream:
    """Streams a turn's frames as server-sent events until the turn ends or the client leaves.

    `speed` replays a finished turn at its recorded pace (1.0) or a multiple of it; 0 does not wait.
    """

    def __init__(
        self, turn: RunningTurn, after: StreamPosition, keep_alive_s: float, speed: float = 0.0
    ) -> None:
        self._turn = turn
        self._after = after
        self._keep_alive_s = keep_alive_s
        self._speed = speed
        self._gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(stream_start({TURN_ID_HEADER: self._turn.turn_id}))
        reader = self._turn.live.reader(self._after)
        watch = asyncio.ensure_future(self._watch(receive, reader))
        try:
            while not self._gone.is_set() and not reader.ended:
                frames = reader.take()
                if not frames:
                    await reader.wait(self._keep_alive_s)
                    frames = reader.take()
                if not self._speed:
                    body = b"".join([frame.body for frame in frames])
                    if body or not reader.ended:
                        await _send(send, body or KEEP_ALIVE)
                    continue
                for frame in frames:
                    if await self._paused(frame.delay_ms / 1000 / self._speed, send):
                        await _send(send, frame.body)
        finally:
            watch.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _paused(self, pause_s: float, send: Send) -> bool:
        """Waits, and keeps the stream alive meanwhile. False once the client has left."""
        while pause_s > 0 and not self._gone.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), min(pause_s, self._keep_alive_s))
            pause_s -= self._keep_alive_s
            if pause_s > 0 and not self._gone.is_set():
                await _send(send, KEEP_ALIVE)
        return not self._gone.is_set()

    async def _watch(self, receive: Receive, reader: TurnReader) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        reader.wake()


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
