"""A run that is a job: its state is folded from its events, and each event is a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from schemas.events.base import Event
from schemas.events.turn import Owner
from stack.domain.stream_position import StreamPosition
from stack.eventstore import EventStore, Recorded
from stack.runs.live import Frame, framed
from stack.runs.run import Run

PAGE_EVENTS = 200

_encode = msgspec.json.Encoder().encode


class JobState(Protocol):
    @property
    def is_open(self) -> bool: ...

    @property
    def owner(self) -> Owner: ...


S = TypeVar("S", bound=JobState)


class JobRun(Run, Generic[S]):
    """A job that is scheduled or running in this process, or the record of one that is not.

    Its frames are read from the log, one page at a time: followers neither delay the job nor take memory in
    proportion to its length.
    """

    def __init__(
        self,
        store: EventStore,
        stream: str,
        state: S,
        evolve: Callable[[S, Event, int, int], S],
        chunk_of: Callable[[Event], Any],
    ) -> None:
        """`evolve` folds an event with its time and version. `chunk_of` returns the content of its frame; None if
        there is nothing to show."""
        super().__init__(store, stream)
        self.state = state
        self._events = store
        self._evolve = evolve
        self._chunk_of = chunk_of

    @property
    def is_open(self) -> bool:
        return self.state.is_open

    @property
    def owner(self) -> Owner:
        return self.state.owner

    def apply(self, event: Event, recorded_at: int, *, live: bool) -> Sequence[Frame]:
        self.state = self._evolve(self.state, event, recorded_at, self.version)
        return ()

    async def stored(self, after: StreamPosition) -> list[Frame]:
        page = await self._events.read_stream(self.stream, after.version, after.version + PAGE_EVENTS)
        return [self._frame_of(recorded) for recorded in page]

    def _frame_of(self, recorded: Recorded) -> Frame:
        position = StreamPosition(recorded.version, 0)
        chunk = self._chunk_of(recorded.event)
        return Frame(position, 0, b"") if chunk is None else framed(position, _encode(chunk))
