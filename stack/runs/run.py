"""One durable run in this process, for which its requests wait and which they follow."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from schemas.events.base import Event
from schemas.events.turn import Owner
from stack.domain.stream_position import StreamPosition
from stack.eventstore import Recorded, StreamReader
from stack.off_loop import off_loop_if
from stack.runs.live import Follower, Frame, LiveFrames

PAGE_EVENTS = 1_000
LARGE_PAGE = 500
"""Frames that take 1 to 2 ms to make: a page with more is applied in a thread."""

Stop = Literal["cancelled", "deadline", "parked"]
"""Why a run is stopped before its end. A parked run stays open for the next start."""


class Run(ABC):
    """A run that this process drives, or the record of one that it does not: both can be followed.

    `version` is that of its stream. `outcomes` are events that are not recorded yet: the next append includes
    them, and a cancellation loses none of them. With `takes_damaged`, `apply` is called with `Damaged` for
    events that cannot be read.
    """

    takes_damaged = False

    def __init__(self, store: StreamReader, stream: str) -> None:
        self.store = store
        self.stream = stream
        self.version = 0
        self.live = LiveFrames()
        self.outcomes: list[Event] = []
        self.task: asyncio.Task[None] | None = None
        self.stopping: tuple[Stop, str] | None = None
        self.begun = False
        self.ending = False

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether it still has to be run to its end, here or after the next start."""

    @property
    @abstractmethod
    def owner(self) -> Owner:
        """The process that started it, or took it over last."""

    @abstractmethod
    def apply(self, event: Event, recorded_at: int, *, live: bool) -> Sequence[Frame]:
        """Folds the event at `version`. Returns its frames; with `live` only those that were not published
        yet."""

    @abstractmethod
    async def stored(self, after: StreamPosition) -> list[Frame]:
        """Returns frames from the log: some of those after this position, in order; none if there are no
        more."""

    def weight(self, event: Event) -> int:
        """About how many frames applying a stored event makes."""
        return 1

    def publish(self, events: Sequence[Event], recorded_at: Sequence[int]) -> None:
        """Applies events that were just recorded after the known ones, and publishes their frames."""
        frames: list[Frame] = []
        for event, at in zip(events, recorded_at, strict=True):
            self.version += 1
            frames += self.apply(event, at, live=True)
        self.live.recorded(frames, StreamPosition(self.version, 0))

    async def load(self) -> None:
        """Applies the events of the log, one page at a time: there may be a hundred thousand."""
        while page := await self.store.read_stream(
            self.stream, self.version, self.version + PAGE_EVENTS, takes_damaged=self.takes_damaged
        ):
            is_large = sum(self.weight(recorded.event) for recorded in page) > LARGE_PAGE
            frames = await off_loop_if(is_large, self._apply_page, page)
            self.live.recorded(frames, StreamPosition(self.version, 0), keep_all=True)
            if len(page) < PAGE_EVENTS:
                return

    def _apply_page(self, page: Sequence[Recorded]) -> list[Frame]:
        frames: list[Frame] = []
        for recorded in page:
            self.version = recorded.version
            frames += self.apply(recorded.event, recorded.recorded_at, live=False)
        return frames

    def follow(self, after: StreamPosition) -> Follower:
        """Returns a follower of all frames after this position."""
        return Follower(self.live, self.stored, after)

    async def ended(self, timeout_s: float | None = None) -> bool:
        """Returns when this process has finished its work for the run, or the time is up: whether the run is
        not open."""
        if self.task is not None and timeout_s != 0:
            await asyncio.wait([self.task], timeout=timeout_s)
        return not self.is_open

    def request_stop(self, stop: Stop, reason: str) -> None:
        """Only a task that has started can be cancelled and still record the end; one that has not checks
        `stopping` when it starts. The first request is used: cancelling a run that is being parked is too
        late."""
        if self.stopping is None and self.task is not None and not self.task.done():
            self.stopping = (stop, reason)
            if self.begun:
                self.task.cancel()
