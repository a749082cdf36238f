"""Builds the page of a session's frames, in the form of `schemas/api/session_frames.py`."""

from __future__ import annotations

import msgspec

from projections.warehouse.reader import rfc3339
from schemas.api.session_frames import FramesTurn
from stack.domain.stream_position import SessionPosition, StreamPosition
from stack.runs.live import Frame, LiveFrames
from stack.services.replay.session_frames import Slice, TimedFrame, TurnTimes

_encode = msgspec.json.Encoder().encode
_DATA = b"\ndata: "


class FramesPage:
    """Frames after a position, about `max_bytes` of JSON, at least one if there is one."""

    def __init__(self, after: SessionPosition, max_bytes: int) -> None:
        self._next = after
        self._max_bytes = max_bytes
        self._rows: list[bytes] = []
        self._size = 0
        self._turns: list[TurnTimes] = []
        self.is_full = False
        """Whether a frame had no room: more follow."""

    def add(self, part: Slice) -> None:
        """Adds recorded frames while there is room."""
        self._turns.extend(part.turns)
        for timed in part.frames:
            if not self._add(timed):
                return

    def add_live(self, turn: TurnTimes, live: LiveFrames) -> None:
        """Adds what a turn that runs in this process has sent, and not recorded yet. All that was recorded before was
        added; what was recorded since is left to the next page."""
        seen = self._next.in_turn if self._next.turn == turn.number else StreamPosition(0, 0)
        if live.gone > seen:
            self.is_full = True
            return
        # From the start of the step: the times of its chunks add up.
        for frame in live.after(StreamPosition(seen.version, 0)):
            if not turn.knows(frame):
                self.is_full = True
                return
            at = turn.time_of(frame)
            if frame.position > seen and not self._add(TimedFrame(turn, at, False, frame)):
                return

    def _add(self, timed: TimedFrame) -> bool:
        row = _row(timed)
        if self._rows and self._size + len(row) > self._max_bytes:
            self.is_full = True
            return False
        self._rows.append(row)
        self._size += len(row) + 1
        self._next = timed.position
        return True

    def encoded(self) -> bytes:
        last = self._next.turn if self.is_full else 2**63
        turns = [_turn(turn) for turn in self._turns if turn.number <= last]
        rest = {"turns": turns, "next": str(self._next), "has_more": self.is_full}
        return b'{"data":[%b],%b' % (b",".join(self._rows), _encode(rest)[1:])


def _row(timed: TimedFrame) -> bytes:
    turn, frame = timed.turn, timed.frame
    version, number = frame.position
    at_ms = (timed.at - turn.started_at) // 1000
    return b'[%d,%d,"%d.%d",%b]' % (turn.number, at_ms, version, number, data_of(frame))


def data_of(frame: Frame) -> bytes:
    """Returns the JSON of a frame, as it is sent."""
    return frame.body[frame.body.index(_DATA) + len(_DATA) : -2]


def _turn(turn: TurnTimes) -> FramesTurn:
    return FramesTurn(
        turn=turn.number,
        turn_id=turn.turn_id,
        started_at=rfc3339(turn.started_at) if turn.started_at else None,
        status=turn.status,
        damage=turn.damage or None,
    )
