"""A turn's stream in memory: the runner publishes frames, any number of readers follow at their own pace."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable

from stack.domain.stream_position import StreamPosition
from stack.services.turns.turn_frames import Frame


class LiveTurn:
    """The frames of one turn so far. It keeps frames, not readers' queues: a reader that stalls or leaves
    costs the runner nothing, and one that comes late begins wherever it wants. The memory it takes is that
    of the turn's own output, which the runner bounds."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ended = False
        self._waiting: list[TurnReader] = []

    def publish(self, frames: Iterable[Frame]) -> None:
        self.frames.extend(frames)
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def reader(self, after: StreamPosition) -> TurnReader:
        """A reader of all frames behind `after`."""
        return TurnReader(self, bisect_right(self.frames, after, key=lambda frame: frame.position))

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for reader in waiting:
                reader.wake()


class TurnReader:
    """One reader's place in a turn's stream."""

    def __init__(self, live: LiveTurn, taken: int) -> None:
        self._live = live
        self._taken = taken
        self._changed: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """The turn has ended and everything of it was taken."""
        return self._live.ended and self._taken >= len(self._live.frames)

    def take(self) -> list[Frame]:
        """All frames that came since the last call."""
        frames = self._live.frames[self._taken :]
        self._taken += len(frames)
        return frames

    async def wait(self, timeout_s: float) -> None:
        """Returns when there is something to take, the turn has ended, `wake` was called, or time is up."""
        if self._taken < len(self._live.frames) or self._live.ended:
            return
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

    def wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
