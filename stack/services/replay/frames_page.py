"""Builds the page of a session's frames, in the form of `schemas/api/session_frames.py`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import takewhile
from operator import attrgetter

import msgspec

from projections.warehouse.reader import rfc3339
from schemas.api.session_frames import FramesTurn
from stack.domain.stream_position import BEGINNING, SessionPosition, StreamPosition
from stack.runs.live import Frame, LiveFrames
from stack.services.replay.session_frames import Slice, TurnTimes

_encode = msgspec.json.Encoder().encode
_position = attrgetter("position")
_ID, _DATA = b"id: ", b"\ndata: "


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

    def add(self, found: Slice) -> None:
        """Adds recorded frames while there is room."""
        self._turns.extend(found.turns)
        for part in found.parts:
            if not self._add(part.turn, part.frames, part.times):
                return

    def add_live(self, turn: TurnTimes, live: LiveFrames) -> None:
        """Adds what a turn that runs in this process has sent, and not recorded yet. All that was recorded before was
        added; what was recorded since is left to the next page."""
        seen = self._next.in_turn if self._next.turn == turn.number else BEGINNING
        if live.gone > seen:
            self.is_full = True
            return
        # From the start of the step: the times of its chunks add up.
        frames = live.after(StreamPosition(seen.version, 0))
        known = list(takewhile(turn.knows, frames))
        times = turn.times_of(known)
        skipped = bisect_right(known, seen, key=_position)
        if self._add(turn, known[skipped:], times[skipped:]):
            self.is_full = len(known) < len(frames)

    def _add(self, turn: TurnTimes, frames: Sequence[Frame], times: Sequence[int]) -> bool:
        """Returns whether all of them had room."""
        number, started_at = turn.number, turn.started_at
        added = 0
        for frame, at in zip(frames, times, strict=True):
            body = frame.body
            end = body.index(_DATA)
            row = b'[%d,%d,"%b",%b]' % (
                number,
                (at - started_at) // 1000,
                body[len(_ID) : end],
                body[end + len(_DATA) : -2],
            )
            self._size += len(row) + 1
            if self._size > self._max_bytes and self._rows:
                self.is_full = True
                break
            self._rows.append(row)
            added += 1
        if added:
            self._next = SessionPosition(number, *frames[added - 1].position)
        return added == len(frames)

    def encoded(self) -> bytes:
        last = self._next.turn if self.is_full else 2**63
        turns = [_turn(turn) for turn in self._turns if turn.number <= last]
        rest = {"turns": turns, "next": str(self._next), "has_more": self.is_full}
        return b'{"data":[%b],%b' % (b",".join(self._rows), _encode(rest)[1:])


def _turn(turn: TurnTimes) -> FramesTurn:
    return FramesTurn(
        turn=turn.number,
        turn_id=turn.turn_id,
        started_at=rfc3339(turn.started_at) if turn.started_at else None,
        status=turn.status,
        damage=turn.damage or None,
    )
