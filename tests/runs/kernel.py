"""A kernel of runs over a real log that can be made to refuse, and a run whose events say something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from schemas.events.base import Event
from schemas.events.evaljob import EvalJobCancelled, EvalJobCancelRequested
from schemas.events.turn import Owner
from stack.domain.stream_position import StreamPosition
from stack.errors import Unavailable
from stack.eventstore import Append, Appended, EventStore, stream_name
from stack.runs.live import Frame
from stack.runs.ownership import Ownership
from stack.runs.run import Run, Stop
from stack.runs.runs import Runs
from stack.runs.supervisor import Supervisor

OWN, OTHER = Owner("node", "boot"), Owner("node", "earlier boot")


class Told(Run):
    """A run whose events say something; `cancelled` is its end."""

    def __init__(self, store: EventStore, name: str = "1", owner: Owner = OTHER) -> None:
        super().__init__(store, stream_name("told", name))
        self.said: list[str] = []
        self._owner = owner
        self._has_ended = False

    @property
    def is_open(self) -> bool:
        return bool(self.said) and not self._has_ended

    @property
    def owner(self) -> Owner:
        return self._owner

    def apply(self, event: Event, recorded_at: int, *, live: bool) -> Sequence[Frame]:
        assert isinstance(event, EvalJobCancelRequested | EvalJobCancelled)
        self.said.append(event.reason)
        self._has_ended = isinstance(event, EvalJobCancelled)
        return [Frame(StreamPosition(self.version, 0), 0, event.reason.encode())]

    async def stored(self, after: StreamPosition) -> list[Frame]:
        raise AssertionError("nothing is dropped from memory here")


def said(text: str) -> Event:
    return EvalJobCancelRequested(reason=text)


def plain(events: Sequence[Event]) -> Sequence[Event]:
    return events


class Kernel:
    """Runs over a log; `refuses` makes the log refuse."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.refuses = False
        self.refused = asyncio.Event()
        self.supervisor = Supervisor()
        self.runs = Runs[Told](store, self.supervisor, Ownership(OWN))
        self._append = store.append
        store.append = self.append  # type: ignore[method-assign]

    async def append(self, append: Append) -> Appended:
        if self.refuses:
            self.refused.set()
            raise Unavailable("The disk is full.")
        return await self._append(append)

    async def opened(self, name: str = "1") -> Told:
        run = Told(self.store, name)
        await self.runs.record(run, plain, [said("opened")])
        return run

    def launch(
        self,
        run: Told,
        work: Callable[[], Awaitable[None]],
        stop: Callable[[Stop, str], Awaitable[None]] | None = None,
    ) -> None:
        async def recorded(stop: Stop, reason: str) -> None:
            await self.runs.record(run, plain, [] if stop == "parked" else [EvalJobCancelled(reason=reason)])

        self.runs.launch(run, self.runs.drive(run, work, stop or recorded))

    async def events(self, run: Run) -> list[str]:
        again = Told(self.store, run.stream.rpartition("/")[2])
        await again.load()
        return again.said


async def endless() -> None:
    await asyncio.Event().wait()


async def is_open() -> bool:
    return True


async def has_ended() -> bool:
    return False
