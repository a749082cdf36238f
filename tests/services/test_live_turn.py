"""Following a turn's stream in memory."""

import asyncio

import pytest

from stack.domain.stream_position import BEGINNING, StreamPosition, parse
from stack.errors import Invalid
from stack.services.turns.live_turn import LiveTurn
from stack.services.turns.turn_frames import Frame


def frame(version, number):
    return Frame(StreamPosition(version, number), 0, f"{version}.{number}".encode())


@pytest.mark.anyio
async def test_readers_follow_at_their_own_pace():
    live = LiveTurn()
    early = live.reader(BEGINNING)
    live.publish([frame(1, 0)])
    assert [f.body for f in early.take()] == [b"1.0"]
    late = live.reader(StreamPosition(1, 0))
    live.publish([frame(2, 0), frame(2, 1)])
    assert [f.body for f in late.take()] == [b"2.0", b"2.1"]
    assert not early.ended
    assert len(early.take()) == 2
    live.end()
    assert early.ended
    assert late.ended


@pytest.mark.anyio
async def test_a_waiting_reader_is_woken_by_frames_by_the_end_and_by_time():
    live = LiveTurn()
    reader = live.reader(BEGINNING)
    waiting = asyncio.ensure_future(reader.wait(30))
    await asyncio.sleep(0)
    live.publish([frame(1, 0)])
    await asyncio.wait_for(waiting, 5)
    assert len(reader.take()) == 1
    await asyncio.wait_for(reader.wait(0.01), 5)
    waiting = asyncio.ensure_future(reader.wait(30))
    await asyncio.sleep(0)
    live.end()
    await asyncio.wait_for(waiting, 5)
    assert reader.ended


@pytest.mark.anyio
async def test_a_reader_that_leaves_is_forgotten():
    live = LiveTurn()
    reader = live.reader(BEGINNING)
    waiting = asyncio.ensure_future(reader.wait(30))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert live._waiting == []


@pytest.mark.parametrize("text", ["x", "3", "3.x", "-1.0", "3.1.2", "9" * 50, "³.1"])
def test_a_last_event_id_that_is_none_is_refused(text):
    with pytest.raises(Invalid):
        parse(text)


def test_a_last_event_id_names_a_position():
    assert parse("3.17") == StreamPosition(3, 17)
    assert parse(None) == BEGINNING
