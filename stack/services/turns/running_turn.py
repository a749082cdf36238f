"""A turn in this process, for which its requests wait and which they follow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from schemas.api.turn import Turn
from schemas.events.base import Event
from schemas.events.turn import Owner, TurnStepCompleted, TurnStepFailed
from stack.domain.stream_position import StreamPosition
from stack.domain.turn import TurnState
from stack.errors import ReplaystackError
from stack.eventstore import StreamReader, stream_name
from stack.runs.live import Frame
from stack.runs.run import Run
from stack.services.turns.turn_frames import TurnFrames, turn_wire
from telemetry.own.invocation import Invocation

LAST_FRAME = 2**31
"""A number after every frame of an event."""


class RunningTurn(Run):
    """A turn that this process runs, or the record of one that it does not: both can be followed.

    `failure` is the error that ended it in this process, and `invocation` its measurements.
    """

    takes_damaged = True

    def __init__(self, store: StreamReader, session_id: str, turn_id: str) -> None:
        super().__init__(store, stream_name("turn", turn_id))
        self.session_id = session_id
        self.turn_id = turn_id
        self.frames = TurnFrames(turn_id)
        self.failure: ReplaystackError | None = None
        self.invocation: Invocation | None = None
        self.alive: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the upstream has responded to the first inference."""
        self.retries: list[float] = []
        """The pauses (seconds) before each retry of a request that the model server refused."""

    @property
    def state(self) -> TurnState:
        return self.frames.state

    @property
    def is_open(self) -> bool:
        return self.state.started_at > 0 and self.state.status == "running"

    @property
    def owner(self) -> Owner:
        return self.state.owner

    def apply(self, event: Event, recorded_at: int, *, live: bool) -> Sequence[Frame]:
        return self.frames.apply(event, recorded_at, self.version, live=live)

    def weight(self, event: Event) -> int:
        trace = event.trace if isinstance(event, TurnStepCompleted | TurnStepFailed) else None
        return 1 + len(trace.lengths) if trace is not None else 1

    def take_over(self, state: TurnState, version: int) -> None:
        """Starts from a known state. Earlier frames are read from the log on demand."""
        self.frames.state = state
        self.version = version
        self.live.gone = StreamPosition(version, LAST_FRAME)

    async def stored(self, after: StreamPosition) -> list[Frame]:
        record = RunningTurn(self.store, self.session_id, self.turn_id)
        await record.load()
        return record.live.after(after)

    def wire(self) -> Turn:
        return turn_wire(self.turn_id, self.state)

    async def first_output(self, hold_back_s: float) -> None:
        """Returns when the first inference was answered, the turn has ended, or the time is over. The time
        starts again with each retry of a request that the model server refused."""
        if self.task is None:
            return
        now = asyncio.get_running_loop().time
        until, seen = now() + hold_back_s, 0
        while True:
            waited_for = [self.task, self.alive]
            done, _ = await asyncio.wait(waited_for, timeout=until - now(), return_when="FIRST_COMPLETED")
            if done or len(self.retries) == seen:
                return
            until, seen = now() + self.retries[-1] + hold_back_s, len(self.retries)
