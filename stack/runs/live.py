"""The stream of a run: its newest frames in memory, all of them in the log, and followers at their own
speed."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from stack.domain.stream_position import BEGINNING, StreamPosition

HELD_BYTES = 2**20
"""Maximum total size in bytes, per run, of frames in memory that are also in the log."""
END = StreamPosition(2**63, 0)
"""A position after every frame."""

_position = attrgetter("position")


class Frame(NamedTuple):
    """`delay_ms` is the time since the previous frame, if it was recorded (chunks of an answer). An empty
    `body` only advances the position of a follower."""

    position: StreamPosition
    delay_ms: float
    body: bytes


def framed(position: StreamPosition, data: bytes, delay_ms: float = 0) -> Frame:
    """Returns a server-sent event: one `id:` line, one `data:` line and a blank line."""
    return Frame(position, delay_ms, b"id: %d.%d\ndata: %b\n\n" % (position.version, position.number, data))


class LiveFrames:
    """The frames of one run so far. It keeps frames instead of a queue per follower: a follower that stalls
    or leaves does not affect the run. Frames up to and including `gone` are in the log only."""

    def __init__(self, gone: StreamPosition = BEGINNING, *, ended: bool = False) -> None:
        self.gone = gone
        self.ended = ended
        self._frames: list[Frame] = []
        self._waiting: list[Follower] = []

    @property
    def head(self) -> StreamPosition:
        """The position of the newest frame."""
        return self._frames[-1].position if self._frames else self.gone

    def after(self, position: StreamPosition) -> list[Frame]:
        """Returns the frames in memory after this position."""
        frames = self._frames
        if not frames or frames[-1].position <= position:
            return []
        return frames[bisect_right(frames, position, key=_position) :]

    def publish(self, frames: Sequence[Frame]) -> None:
        """Adds frames that are not in the log yet."""
        self._frames.extend(frames)
        self._wake()

    def recorded(self, frames: Sequence[Frame], through: StreamPosition, *, keep_all: bool = False) -> None:
        """Adds the frames of recorded events: now all frames up to `through` are in the log. Of the earlier
        ones only the newest stay in memory unless `keep_all`; a follower that keeps up does not need the
        log."""
        if not keep_all:
            self._drop_old()
        self._frames.extend(frames)
        if not self._frames:
            self.gone = through
        self._wake()

    def end(self) -> None:
        """Ends the stream in this process."""
        self.ended = True
        self._wake()

    def _drop_old(self) -> None:
        room = HELD_BYTES
        for index in range(len(self._frames) - 1, -1, -1):
            room -= len(self._frames[index].body)
            if room < 0:
                self.gone = self._frames[index].position
                del self._frames[: index + 1]
                return

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for follower in waiting:
                follower.wake()


class Follower:
    """The position of one reader in the stream of a run. `stored` returns frames from the log: some of those
    after a position, in order; none if there are no more."""

    def __init__(
        self,
        live: LiveFrames,
        stored: Callable[[StreamPosition], Awaitable[list[Frame]]],
        after: StreamPosition,
    ) -> None:
        self._live = live
        self._stored = stored
        self._after = after
        self._ahead: list[Frame] = []
        self._left = False
        self._changed: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether no frames are left: the run has ended and all of its frames were taken, or the reader has
        left."""
        return self._left or (self._live.ended and not self._ahead and self._after >= self._live.head)

    async def is_over(self) -> bool:
        """Returns whether no frames are left, now or later. Does not wait for the run."""
        self._ahead = self._ahead or await self._ready()
        return self.ended

    async def next(self, timeout_s: float) -> list[Frame]:
        """Returns the frames since the last call, and waits if there are none; empty if the run has ended,
        the reader has left, or the time is up."""
        ahead, self._ahead = self._ahead, []
        if frames := ahead or self._held() or await self._ready():
            return frames
        if not self._live.ended and not self._left:
            await self._wait(timeout_s)
        return self._held() or await self._ready()

    def leave(self) -> None:
        """Called when the reader has left: ends `next`."""
        self._left = True
        self.wake()

    def wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _ready(self) -> list[Frame]:
        while self._after < (gone := self._live.gone):
            if frames := await self._stored(self._after):
                self._after = frames[-1].position
                return frames
            self._after = gone
        return self._held()

    def _held(self) -> list[Frame]:
        """Returns the frames in memory, unless the log has earlier ones."""
        live = self._live
        if self._after < live.gone or not (frames := live.after(self._after)):
            return []
        self._after = frames[-1].position
        return frames

    async def _wait(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._changed = loop.create_future()
        self._live._waiting.append(self)
        timer = loop.call_later(timeout_s, self.wake)
        try:
            await self._changed
        finally:
            timer.cancel()
            self._changed = None
            if self in self._live._waiting:
                self._live._waiting.remove(self)
