"""A turn as the process knows it: what its requests wait for and follow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from schemas.api.turn import Turn
from schemas.events.base import Event
from stack.domain.turn import TurnState
from stack.errors import ReplaystackError
from stack.services.turns.live_turn import LiveTurn
from stack.services.turns.turn_frames import TurnFrames, turn_wire
from stack.services.turns.turn_runner import Stop, TurnRunner
from telemetry.own.invocation import Invocation


class RunningTurn:
    """A turn that this process runs, or the record of one that has ended: both can be followed."""

    def __init__(self, turn_id: str, session_id: str, frames: TurnFrames, live: LiveTurn) -> None:
        self.turn_id = turn_id
        self.session_id = session_id
        self.frames = frames
        self.live = live
        self.runner: TurnRunner | None = None
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.ending = False
        self.stopping: tuple[Stop, str] | None = None
        self.failure: ReplaystackError | None = None
        self.invocation: Invocation | None = None

    @property
    def state(self) -> TurnState:
        return self.frames.state

    def publish(self, events: Sequence[Event], recorded_at: Sequence[int]) -> None:
        """Takes over events that were just recorded behind those that are in, and publishes their frames."""
        for event, at in zip(events, recorded_at, strict=True):
            self.live.publish(self.frames.apply(event, at, self.frames.version + 1, live=True))

    def wire(self) -> Turn:
        return turn_wire(self.turn_id, self.state)

    async def ended(self) -> None:
        """Returns when the turn has ended, or was parked by a shutdown."""
        if self.task is not None:
            await asyncio.wait([self.task])

    async def shows_life(self, hold_back_s: float) -> None:
        """Returns when the first inference was answered, the turn has ended, or the time is over. The time begins
        again with each repetition of a request that the model server refused."""
        if self.task is None or self.runner is None:
            return
        now = asyncio.get_running_loop().time
        until, seen = now() + hold_back_s, 0
        while True:
            waited_for = [self.task, self.runner.alive]
            done, _ = await asyncio.wait(waited_for, timeout=until - now(), return_when="FIRST_COMPLETED")
            retries = self.runner.retries
            if done or len(retries) == seen:
                return
            until, seen = now() + retries[-1] + hold_back_s, len(retries)

    def request_stop(self, reason: Stop, detail: str) -> None:
        """Only a task that has begun can be cancelled and still record the end; one that has not sees
        `stopping` when it does."""
        if self.stopping is None and self.task is not None and not self.task.done():
            self.stopping = (reason, detail)
            if self.begun:
                self.task.cancel()
