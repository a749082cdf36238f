"""Following the stream of a run: from memory as it comes, from the log where that is too old."""

from __future__ import annotations

import asyncio

import pytest

from stack.domain.stream_position import BEGINNING, StreamPosition, parse
from stack.errors import Invalid
from stack.runs import live as live_module
from stack.runs.live import END, Follower, Frame, LiveFrames

pytestmark = pytest.mark.anyio


def frame(version: int, number: int = 0, body: bytes = b"") -> Frame:
    return Frame(StreamPosition(version, number), 0, body or f"{version}.{number}".encode())


class Log:
    """The frames that the log can give, some at a time; counts how often it was read."""

    def __init__(self, *frames: Frame, page: int = 2) -> None:
        self.frames = list(frames)
        self.page = page
        self.reads = 0

    async def stored(self, after: StreamPosition) -> list[Frame]:
        self.reads += 1
        return [one for one in self.frames if one.position > after][: self.page]

    def follow(self, live: LiveFrames, after: StreamPosition = BEGINNING) -> Follower:
        return Follower(live, self.stored, after)


async def taken(follower: Follower) -> list[str]:
    return [one.body.decode() for one in await follower.next(0.001)]


async def test_followers_go_at_their_own_pace() -> None:
    live, log = LiveFrames(), Log()
    early = log.follow(live)
    live.publish([frame(1)])
    assert await taken(early) == ["1.0"]
    late = log.follow(live, StreamPosition(1, 0))
    live.publish([frame(2), frame(2, 1)])
    assert await taken(late) == ["2.0", "2.1"]
    assert not early.ended
    assert await taken(early) == ["2.0", "2.1"]
    assert not early.ended
    live.end()
    assert early.ended and late.ended
    assert log.reads == 0


async def test_a_waiting_follower_is_woken_by_frames_by_the_end_by_leaving_and_by_time() -> None:
    live, log = LiveFrames(), Log()
    follower = log.follow(live)
    assert await follower.next(0.001) == []

    async def woken_by(what: str) -> list[Frame]:
        waiting = asyncio.ensure_future(follower.next(600))
        await asyncio.sleep(0)
        match what:
            case "frames":
                live.publish([frame(1)])
            case "leaving":
                follower.leave()
            case "end":
                live.end()
        return await waiting

    assert await woken_by("frames") == [frame(1)]
    assert await woken_by("leaving") == [] and follower.ended
    follower = log.follow(live, StreamPosition(1, 0))
    assert await woken_by("end") == [] and follower.ended


async def test_a_follower_that_is_cancelled_is_forgotten() -> None:
    live = LiveFrames()
    waiting = asyncio.ensure_future(Log().follow(live).next(600))
    await asyncio.sleep(0)
    assert len(live._waiting) == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert live._waiting == []


async def test_a_slow_follower_costs_no_memory_and_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest frames of a long run are held; slow readers read the others from the log."""
    monkeypatch.setattr(live_module, "HELD_BYTES", 100)
    live, log = LiveFrames(), Log(page=7)
    slow, fast = log.follow(live), log.follow(live)
    seen: list[Frame] = []
    for version in range(1, 201):
        recorded = [frame(version, body=b"%010d" % version)]
        log.frames += recorded
        live.recorded(recorded, StreamPosition(version, 0))
        seen += await fast.next(0)
        assert len(live.after(BEGINNING)) <= 11
    assert seen == log.frames and log.reads == 0, "who keeps up does not need the log"
    live.end()
    late: list[Frame] = []
    while not slow.ended:
        late += await slow.next(0)
    assert late == log.frames and 0 < log.reads <= 200 / 7 + 2


async def test_frames_that_the_log_cannot_give_yet_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "HELD_BYTES", 0)
    live, log = LiveFrames(), Log()
    live.recorded([frame(1)], StreamPosition(1, 0))
    progress = [frame(1, number) for number in range(1, 50)]
    for one in progress:
        live.publish([one])
    follower = log.follow(live)
    assert await follower.next(0) == [frame(1), *progress]
    live.recorded([frame(2)], StreamPosition(2, 0))
    assert live.after(BEGINNING) == [frame(2)]
    assert await follower.next(0) == [frame(2)]


async def test_a_run_that_publishes_no_frames_is_followed_from_the_log() -> None:
    live, log = LiveFrames(), Log(frame(1), frame(2), frame(3, body=b"last"))
    live.recorded([], StreamPosition(3, 0))
    follower = log.follow(live, StreamPosition(1, 17))
    assert await taken(follower) == ["2.0", "last"]
    assert not follower.ended
    live.end()
    assert follower.ended


async def test_what_has_ended_is_read_to_the_end_of_the_log() -> None:
    log = Log(frame(1), frame(2), frame(3))
    follower = log.follow(LiveFrames(END, ended=True))
    assert not await follower.is_over()
    assert [await taken(follower) for _ in range(3)] == [["1.0", "2.0"], ["3.0"], []]
    assert follower.ended
    assert await log.follow(LiveFrames(END, ended=True), StreamPosition(3, 0)).is_over()


@pytest.mark.parametrize("text", ["x", "3", "3.x", "-1.0", "3.1.2", "9" * 50, "³.1"])
def test_a_last_event_id_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text)


def test_a_last_event_id_names_a_position() -> None:
    assert parse("3.17") == StreamPosition(3, 17)
    assert parse(None) == BEGINNING
