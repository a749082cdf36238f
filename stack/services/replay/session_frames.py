"""Reads the frames of all turns of a session from the log, with their times, a slice at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.api.turn import TurnStatus
from schemas.events.base import Damaged, Event
from schemas.events.turn import TurnAwaitingInput, TurnRestarted, TurnResumed, TurnStarted
from stack.domain.stream_position import BEGINNING, SessionPosition, StreamPosition
from stack.eventstore import EventStore, Recorded, stream_name
from stack.runs.live import Frame
from stack.services.turns.turn_frames import TurnFrames

SLICE_FRAMES = 1_024
SLICE_BYTES = 512 * 1024
"""The least number of bytes that end a slice: making one takes a few ms."""
PAGE_EVENTS = 1_000


class TurnTimes:
    """The facts of a turn whose frames are read. `number` counts the turns of the session from 1. Times are
    microseconds since 1970; `started_at` is 0 if the turn has no events. `damage` says what cannot be read."""

    def __init__(self, number: int, turn_id: str) -> None:
        self.number = number
        self.turn_id = turn_id
        self.started_at = 0
        self.status: TurnStatus = "running"
        self.damage: list[str] = []
        self._recorded_at: dict[int, int] = {}
        self._step = BEGINNING
        self._chunk_at = self._newest_at = 0

    def record(self, recorded: Recorded) -> None:
        self._recorded_at[recorded.version] = recorded.recorded_at
        self.started_at = self.started_at or recorded.recorded_at
        if isinstance(recorded.event, Damaged):
            self.damage.append(recorded.event.detail)

    def knows(self, frame: Frame) -> bool:
        """Returns whether the event to which the frame belongs was read from the log."""
        return frame.position.version in self._recorded_at

    def time_of(self, frame: Frame) -> int:
        """Returns when a known frame was sent; call it for all frames of a step, in order. A chunk of an answer comes
        its recorded delay after the one before it, the first after the start of its step. Times never decrease."""
        version, number = frame.position
        at = self._recorded_at.get(version, self._newest_at)
        if number:
            if self._step.version != version:
                self._step, self._chunk_at = frame.position, at
            at = self._chunk_at = self._chunk_at + int(frame.delay_ms * 1000)
        self._newest_at = max(self._newest_at, at)
        return self._newest_at


class TimedFrame(NamedTuple):
    """`at` is microseconds since 1970. `follows_pause` means that no one worked on the turn before it: it had not begun,
    waited for input, or its process had died."""

    turn: TurnTimes
    at: int
    follows_pause: bool
    frame: Frame

    @property
    def position(self) -> SessionPosition:
        return SessionPosition(self.turn.number, *self.frame.position)


class Slice(NamedTuple):
    """Some frames in order, and the turns that were begun to be read for them, with or without frames. It is empty at
    the end of what is recorded."""

    frames: list[TimedFrame]
    turns: list[TurnTimes]


class SessionFrames:
    """The recorded frames of `turn_ids` after a position. One thread at a time. Memory holds one page of events, the
    state of one turn, and a slice."""

    def __init__(self, store: EventStore, turn_ids: Sequence[str], after: SessionPosition) -> None:
        self._store = store
        self._turn_ids = turn_ids
        self._after = after
        self._begun: list[TurnTimes] = []
        self._frames = self._read()
        self.last: TurnTimes | None = None
        """The turn that is being read, or was read last."""

    async def next(self) -> Slice:
        """Returns the next slice; reads it in a thread."""
        return await self._store.in_thread(self.take)

    def take(self, max_frames: int = SLICE_FRAMES, max_bytes: int = SLICE_BYTES) -> Slice:
        """Returns the next slice. Blocks. Raises Unavailable."""
        frames: list[TimedFrame] = []
        size = 0
        for timed in self._frames:
            frames.append(timed)
            size += len(timed.frame.body)
            if len(frames) >= max_frames or size >= max_bytes:
                break
        begun, self._begun = self._begun, []
        return Slice(frames, begun)

    def _read(self) -> Iterator[TimedFrame]:
        first = max(1, self._after.turn)
        for number, turn_id in enumerate(self._turn_ids[first - 1 :], first):
            self.last = turn = TurnTimes(number, turn_id)
            self._begun.append(turn)
            yield from self._turn(turn, self._after.in_turn if number == self._after.turn else BEGINNING)

    def _turn(self, turn: TurnTimes, after: StreamPosition) -> Iterator[TimedFrame]:
        fold = TurnFrames(turn.turn_id)
        follows_pause = False
        for recorded in self._events(stream_name("turn", turn.turn_id)):
            event = recorded.event
            turn.record(recorded)
            follows_pause = follows_pause or _ends_pause(event)
            # The chunks of an answer belong to the start of its step, which is an earlier event.
            seen = recorded.version <= after.version
            for frame in fold.each(event, recorded.recorded_at, recorded.version, live=seen):
                at = turn.time_of(frame)
                if frame.position > after:
                    yield TimedFrame(turn, at, follows_pause, frame)
                follows_pause = False
            turn.status = fold.state.status
            follows_pause = follows_pause or isinstance(event, TurnAwaitingInput)

    def _events(self, stream: str) -> Iterator[Recorded]:
        version = 0
        while page := self._store.events(stream, version, version + PAGE_EVENTS, takes_damaged=True):
            yield from page
            if len(page) < PAGE_EVENTS:
                return
            version = page[-1].version


def _ends_pause(event: Event) -> bool:
    name = event.name if isinstance(event, Damaged) else ""
    return isinstance(event, TurnStarted | TurnResumed | TurnRestarted) or name in (
        "turn.started",
        "turn.resumed",
        "turn.restarted",
    )
