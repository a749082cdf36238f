"""Plays sessions: pages of their frames with times, and their stream as it was, at a pace."""

from __future__ import annotations

from functools import partial

from stack.domain.stream_position import SessionPosition
from stack.errors import Invalid
from stack.eventstore import EventStore
from stack.services.replay.frames_page import FramesPage
from stack.services.replay.session_follower import SessionFollower
from stack.services.replay.session_frames import SessionFrames, Slice
from stack.services.state import States
from stack.services.turns.turn import TurnService


class SessionPlayback:
    def __init__(self, store: EventStore, states: States, turns: TurnService) -> None:
        self._store = store
        self._states = states
        self._turns = turns

    async def page(self, agent_id: str, session_id: str, after: SessionPosition, max_bytes: int) -> bytes:
        """Returns the frames after a position as the JSON of a `SessionFramesPage`: about `max_bytes`, at least one frame
        if there is one. Raises NotFound, Invalid for a position in a turn that is not there, and Unavailable."""
        reader = await self._reader(agent_id, session_id, after)
        page = FramesPage(after, max_bytes)

        def add() -> Slice:
            page.add(part := reader.take())
            return part

        while not page.is_full:
            if not (await self._store.in_thread(add)).parts:
                break
        last = reader.last
        if last is not None and last.status == "running" and not page.is_full:
            run = self._turns.driven(last.turn_id)
            if run is not None:
                page.add_live(last, run.live)
        return await self._store.in_thread(page.encoded)

    async def follow(
        self, agent_id: str, session_id: str, after: SessionPosition, pause_ms: float
    ) -> SessionFollower:
        """Returns a follower of the frames after a position. Raises NotFound, Invalid for a position in a turn that is not
        there."""
        read = partial(self._reader, agent_id, session_id)
        attach = partial(self._turns.attach, session_id)
        return SessionFollower(await read(after), after, read, attach, pause_ms)

    async def _reader(self, agent_id: str, session_id: str, after: SessionPosition) -> SessionFrames:
        turns = (await self._states.session(agent_id, session_id)).state.turns
        if after.turn > len(turns):
            raise Invalid(
                f"{str(after)!r} is a place in turn {after.turn}, and the session has {len(turns)}. Continue with the id of "
                "a frame that it has, or leave it out to begin."
            )
        return SessionFrames(self._store, turns, after)
