"""The stream of a session for one reader: what is recorded from the log, then its running turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from stack.domain.stream_position import BEGINNING, SessionPosition
from stack.errors import NotFound
from stack.runs.live import Follower, Frame
from stack.services.replay.session_frames import Part, SessionFrames
from stack.services.turns.running_turn import RunningTurn

_ID = b"id: "

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
            elif (frames := self._timed((await self._recorded.next()).parts)) or (
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
            frames = self._timed((await self._recorded.next()).parts)
        except NotFound:
            frames = []
        self._ended = self._ended or not frames
        return frames

    def _timed(self, parts: Sequence[Part]) -> list[Frame]:
        shown: list[Frame] = []
        sent_at = self._sent_at
        for turn, follows_pause, frames, times in parts:
            head = _head(turn.number)
            for (position, _, body), at in zip(frames, times, strict=True):
                delay_ms = max(0, at - sent_at) / 1000 if sent_at else 0.0
                if follows_pause:
                    delay_ms, follows_pause = min(delay_ms, self._pause_ms), False
                sent_at = at
                shown.append(Frame(position, delay_ms, head + body[len(_ID) :]))
            self._after = SessionPosition(turn.number, *frames[-1].position)
        self._sent_at = sent_at
        return shown

    def _of_session(self, frame: Frame) -> Frame:
        self._after = SessionPosition(self._live_turn, *frame.position)
        return frame._replace(body=_head(self._live_turn) + frame.body[len(_ID) :])


def _head(turn: int) -> bytes:
    """Returns the beginning of a frame with the id that it has in its session: the number of the turn before its own."""
    return b"id: %d." % turn
