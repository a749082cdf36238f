"""The stream of a run over HTTP, from a client's point of view."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stack.domain.stream_position import BEGINNING, StreamPosition
from stack.http.event_stream import FRAMES_OF_A_PIECE, EventStream
from stack.runs.live import Follower, Frame, LiveFrames

pytestmark = pytest.mark.anyio

FRAMES = [Frame(StreamPosition(1, number), 0, b"id: 1.%d\n\n" % number) for number in range(5_000)]


class Client:
    """Reads `takes` pieces of the body, then no more; leaves when told to."""

    def __init__(self, takes: int) -> None:
        self.pieces: list[bytes] = []
        self.is_full = asyncio.Event()
        self._takes = takes
        self._gone = asyncio.Event()

    async def send(self, message: Any) -> None:
        if len(self.pieces) >= self._takes and not self._gone.is_set():
            self.is_full.set()
            await self._gone.wait()
        if message.get("body") and not self._gone.is_set():
            self.pieces.append(message["body"])

    async def receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self._gone.set()


async def nothing(after: StreamPosition) -> list[Frame]:
    raise AssertionError(after)


async def test_a_client_that_reads_gets_every_frame_once() -> None:
    live, client = LiveFrames(), Client(takes=10_000)
    live.publish(FRAMES)
    live.end()
    await EventStream(Follower(live, nothing, BEGINNING), {}, 60)({}, client.receive, client.send)
    assert b"".join(client.pieces) == b"".join(frame.body for frame in FRAMES)
    assert max(piece.count(b"\n\n") for piece in client.pieces) == FRAMES_OF_A_PIECE


async def test_a_client_that_stops_reading_gets_no_more_than_one_piece() -> None:
    """The run continues in the meantime, and the stream ends when the client leaves."""
    live, client = LiveFrames(), Client(takes=2)
    live.publish(FRAMES[:2_000])
    stream = asyncio.ensure_future(
        EventStream(Follower(live, nothing, BEGINNING), {}, 60)({}, client.receive, client.send)
    )
    await client.is_full.wait()
    live.publish(FRAMES[2_000:])
    assert len(client.pieces) == 2
    client.leave()
    await stream
    assert len(client.pieces) == 2 and live._waiting == []
