"""Reads the frames of all turns of a session from the log, with their times, a slice at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from schemas.api.turn import TurnStatus
from schemas.events.base import Damaged, Event
from schemas.events.turn import (
    TurnAwaitingInput,
    TurnRestarted,
    TurnResumed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
)
from stack.domain.stream_position import BEGINNING, SessionPosition, StreamPosition
from stack.eventstore import EventStore, Recorded, stream_name
from stack.runs.live import Frame
from stack.services.turns.turn_frames import TurnFrames

_position = attrgetter("position")
_ENDS_OF_PAUSES = (TurnStarted, TurnResumed, TurnRestarted)

SLICE_FRAMES = 1_024
SLICE_BYTES = 512 * 1024
"""The number of frames, or of their bytes, that ends a slice: making one takes a few ms."""
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
        self._begun_at: dict[str, int] = {}
        self._step = 0
        self._chunk_at = self._newest_at = 0

    def record(self, recorded: Recorded) -> None:
        self._recorded_at[recorded.version] = recorded.recorded_at
        self.started_at = self.started_at or recorded.recorded_at
        match recorded.event:
            case TurnStepStarted(step_id=step_id):
                self._begun_at[step_id] = recorded.recorded_at
            case Damaged(detail=detail):
                self.damage.append(detail)

    def pass_over(self, event: Event) -> None:
        """Takes the chunks of an answer as sent, without their frames."""
        if isinstance(event, TurnStepCompleted | TurnStepFailed) and event.trace is not None:
            begun_at = self._begun_at.get(event.step_id, 0)
            self._newest_at = max(self._newest_at, begun_at + sum(event.trace.delays_ms) * 1000)

    def knows(self, frame: Frame) -> bool:
        """Returns whether the event to which the frame belongs was read from the log."""
        return frame.position.version in self._recorded_at

    def times_of(self, frames: Iterable[Frame]) -> list[int]:
        """Returns when known frames were sent; takes all frames of a step, in order. A chunk of an answer comes its
        recorded delay after the one before it, the first after the start of its step. Times never decrease."""
        times: list[int] = []
        newest = self._newest_at
        for (version, number), delay_ms, _ in frames:
            if number and version == self._step:
                self._chunk_at = at = self._chunk_at + int(delay_ms * 1000)
            else:
                at = self._recorded_at.get(version, newest)
                if number:
                    self._step = version
                    self._chunk_at = at = at + int(delay_ms * 1000)
            newest = max(newest, at)
            times.append(newest)
        self._newest_at = newest
        return times


class Part(NamedTuple):
    """Frames of one event, and when each was sent (microseconds since 1970). `follows_pause` means that no one worked on
    the turn before the first: it had not begun, waited for input, or its process had died."""

    turn: TurnTimes
    follows_pause: bool
    frames: list[Frame]
    times: list[int]


class Slice(NamedTuple):
    """Some frames in order, and the turns that were begun to be read for them, with or without frames. It has no parts
    at the end of what is recorded."""

    parts: list[Part]
    turns: list[TurnTimes]


class SessionFrames:
    """The recorded frames of `turn_ids` after a position. One thread at a time. Memory holds one page of events, the
    state of one turn, and a slice."""

    def __init__(self, store: EventStore, turn_ids: Sequence[str], after: SessionPosition) -> None:
        self._store = store
        self._turn_ids = turn_ids
        self._after = after
        self._begun: list[TurnTimes] = []
        self._parts = self._read()
        self.last: TurnTimes | None = None
        """The turn that is being read, or was read last."""

    async def next(self) -> Slice:
        """Returns the next slice; reads it in a thread."""
        return await self._store.in_thread(self.take)

    def take(self) -> Slice:
        """Returns the next slice. Blocks. Raises Unavailable."""
        parts: list[Part] = []
        count = size = 0
        for part in self._parts:
            parts.append(part)
            count += len(part.frames)
            size += sum([len(frame.body) for frame in part.frames])
            if count >= SLICE_FRAMES or size >= SLICE_BYTES:
                break
        begun, self._begun = self._begun, []
        return Slice(parts, begun)

    def _read(self) -> Iterator[Part]:
        first = max(1, self._after.turn)
        for number, turn_id in enumerate(self._turn_ids[first - 1 :], first):
            self.last = turn = TurnTimes(number, turn_id)
            self._begun.append(turn)
            yield from self._turn(turn, self._after.in_turn if number == self._after.turn else BEGINNING)

    def _turn(self, turn: TurnTimes, after: StreamPosition) -> Iterator[Part]:
        fold = TurnFrames(turn.turn_id)
        follows_pause = False
        for recorded in self._events(stream_name("turn", turn.turn_id)):
            event = recorded.event
            turn.record(recorded)
            follows_pause = follows_pause or _ends_pause(event)
            # The chunks of an answer belong to the start of its step, which is an earlier event.
            seen = recorded.version <= after.version
            if seen:
                turn.pass_over(event)
            made = fold.each(event, recorded.recorded_at, recorded.version, live=seen)
            while frames := list(islice(made, SLICE_FRAMES)):
                part = Part(turn, follows_pause, frames, turn.times_of(frames))
                follows_pause = False
                if frames[0].position > after:
                    yield part
                elif frames[-1].position > after:
                    skipped = bisect_right(frames, after, key=_position)
                    yield part._replace(frames=frames[skipped:], times=part.times[skipped:])
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
    if isinstance(event, Damaged):
        return event.name in ("turn.started", "turn.resumed", "turn.restarted")
    return isinstance(event, _ENDS_OF_PAUSES)
