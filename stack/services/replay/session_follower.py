"""The stream of a session for one reader: what is recorded from the log, then its running turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from stack.domain.stream_position import BEGINNING, SessionPosition
from stack.errors import NotFound
from stack.runs.live import Follower, Frame
from stack.services.replay.session_frames import SessionFrames, TimedFrame
from stack.services.turns.running_turn import RunningTurn

ReadAgain = Callable[[SessionPosition], Awaitable[SessionFrames]]
"""Reads the session, and its frames after a position. Raises NotFound once it is deleted."""
Attach = Callable[[str], Awaitable[RunningTurn]]
"""Returns a turn to follow. Raises NotFound once it is deleted."""


class SessionFollower:
    """Frames with ids of the session, and delays between all of them; used as a `Follower`. `pause_ms` is the longest
    delay before a frame that follows a pause."""

    def __init__(
        self,
        recorded: SessionFrames,
        after: SessionPosition,
        read_again: ReadAgain,
        attach: Attach,
        pause_ms: float,
    ) -> None:
        self._recorded = recorded
        self._after = after
        self._read_again = read_again
        self._attach = attach
        self._pause_ms = pause_ms
        self._sent_at = 0
        self._live: Follower | None = None
        self._live_turn = 0
        self._ahead: list[Frame] = []
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether no frames are left: all turns of the session have ended or wait for input, or the reader has left."""
        return self._ended and not self._ahead

    async def is_over(self) -> bool:
        """Returns whether no frames are left. Does not wait for a running turn."""
        self._ahead = self._ahead or await self.next(0)
        return self.ended

    def leave(self) -> None:
        """Called when the reader has left: ends `next`."""
        self._ahead, self._ended = [], True
        if self._live is not None:
            self._live.leave()

    async def next(self, timeout_s: float) -> list[Frame]:
        """Returns the frames since the last call, and waits for those of a running turn; empty at the end, or if the time
        is up."""
        ahead, self._ahead = self._ahead, []
        if ahead:
            return ahead
        while not self._ended:
            if self._live is not None:
                frames = await self._live.next(timeout_s)
                if frames or not self._live.ended:
                    return [self._of_session(frame) for frame in frames]
                self._live = None
            elif (frames := self._timed((await self._recorded.next()).frames)) or (
                frames := await self._continued()
            ):
                return frames
        return []

    async def _continued(self) -> list[Frame]:
        """Called at the end of what is recorded: follows the running turn, or reads what was recorded since then, and ends
        if that is nothing."""
        try:
            last = self._recorded.last
            if last is not None and last.status == "running":
                run = await self._attach(last.turn_id)
                if run.task is not None:
                    seen = self._after.in_turn if self._after.turn == last.number else BEGINNING
                    self._live, self._live_turn = run.follow(seen), last.number
                    return []
            self._recorded = await self._read_again(self._after)
            frames = self._timed((await self._recorded.next()).frames)
        except NotFound:
            frames = []
        self._ended = self._ended or not frames
        return frames

    def _timed(self, found: Sequence[TimedFrame]) -> list[Frame]:
        frames: list[Frame] = []
        for turn, at, follows_pause, frame in found:
            delay_ms = (at - self._sent_at) / 1000 if self._sent_at else 0.0
            if follows_pause:
                delay_ms = min(delay_ms, self._pause_ms)
            self._sent_at = at
            frames.append(_numbered(turn.number, frame._replace(delay_ms=max(0.0, delay_ms))))
        if found:
            self._after = found[-1].position
        return frames

    def _of_session(self, frame: Frame) -> Frame:
        self._after = SessionPosition(self._live_turn, *frame.position)
        return _numbered(self._live_turn, frame)


def _numbered(turn: int, frame: Frame) -> Frame:
    """Returns the frame with the id that it has in its session: the number of the turn before its own."""
    return frame._replace(body=b"id: %d.%b" % (turn, frame.body[4:]))
