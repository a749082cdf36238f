"""Finds the point at which a session is forked: a turn, a step or an event."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from projections import turn as turn_views
from schemas.api.session import ForkSessionRequest
from schemas.events.turn import TurnStepCompleted, TurnStepFailed
from stack.domain import session as sessions
from stack.domain.session import SessionState
from stack.errors import ContentDamaged, Invalid, NotFound
from stack.eventstore import EventStore, Folded, Recorded, split_stream, stream_name
from stack.services.state import States
from stack.services.views import Views


class ForkPoint(Struct, frozen=True, kw_only=True):
    """`turns` are those before the point, which are shared. If it is in the middle of a turn, that is `turn_id`, with its
    `events` up to the point. `version` is that of the session's stream at the point."""

    turns: tuple[str, ...]
    version: int
    turn_id: str = ""
    events: Sequence[Recorded] = ()


class ForkPoints:
    def __init__(self, store: EventStore, states: States, views: Views) -> None:
        self._store = store
        self._states = states
        self._views = views

    async def find(
        self, session_id: str, session: Folded[SessionState], request: ForkSessionRequest
    ) -> ForkPoint:
        """Without any of `turn_id`, `step_id` and `event` it is the end of the last turn that has ended. Raises Invalid,
        NotFound, and ContentDamaged."""
        state, version = session
        turn_id, step_id, position = request.turn_id, request.step_id, request.event
        if turn_id is not None and turn_id not in state.turns:
            raise NotFound(f"turn_id: there is no turn {turn_id!r} in session {session_id!r}.")
        if position is not None:
            if step_id is not None:
                raise Invalid("event and step_id are two points to fork at; give one of them.")
            return await self._at_event(session_id, session, turn_id, position)
        if step_id is not None:
            turn_id = turn_id or await self._turn_of(session_id, state, step_id)
            return await self._within(session, turn_id, await self._step_end(turn_id, step_id))
        if turn_id is not None:
            return await self._within(session, turn_id, None)
        return ForkPoint(turns=_ended(state), version=version)

    async def _at_event(
        self, session_id: str, session: Folded[SessionState], turn_id: str | None, position: int
    ) -> ForkPoint:
        if position < 1:
            raise Invalid(f"event is {position}; positions in the log begin with 1.")
        records = await self._store.in_thread(partial(self._store.log.after, position - 1, 1))
        if not records:
            raise NotFound(f"event: the log has no event {position}; its last one is {self._store.head()}.")
        [found] = records
        _, category, id = split_stream(found.stream)
        if category == "turn" and id in session.state.turns:
            if turn_id not in (None, id):
                raise Invalid(f"event {position} is of turn {id!r}, and turn_id is {turn_id!r}.")
            return await self._within(session, id, found.version)
        if (category, id) != ("session", session_id):
            raise Invalid(f"event {position} is not of session {session_id!r} or of one of its turns.")
        if turn_id is not None:
            raise Invalid(f"event {position} is of the session itself, not of turn {turn_id!r}.")
        return await self._then(found.stream, found.version)

    async def _then(self, stream: str, version: int) -> ForkPoint:
        state = SessionState()
        for one in await self._store.read_stream(stream, until_version=version, takes_damaged=True):
            state = sessions.evolve(state, one.event, one.recorded_at, one.version)
        if state.damage:
            raise ContentDamaged(f"The turns of the session at that event are unknown. {state.damage}")
        return ForkPoint(turns=_ended(state), version=version)

    async def _within(self, session: Folded[SessionState], turn_id: str, until: int | None) -> ForkPoint:
        """Returns the point after the event number `until` of a turn (None: after all of it)."""
        turns = session.state.turns
        place = turns.index(turn_id)
        events = await self._store.read_stream(stream_name("turn", turn_id), takes_damaged=True)
        is_whole = until is None or until >= events[-1].version
        if is_whole and turn_id != session.state.open_turn:
            return ForkPoint(turns=turns[: place + 1], version=session.version)
        prefix = events if until is None else events[:until]
        return ForkPoint(turns=turns[:place], version=session.version, turn_id=turn_id, events=prefix)

    async def _turn_of(self, session_id: str, session: SessionState, step_id: str) -> str:
        found = await self._views.read(("session", "turn"), turn_views.turns_of_step, step_id)
        for turn_id in found:
            if turn_id in session.turns:
                return turn_id
        raise NotFound(f"step_id: there is no step {step_id!r} in session {session_id!r}.")

    async def _step_end(self, turn_id: str, step_id: str) -> int:
        is_known = False
        for one in await self._store.read_stream(stream_name("turn", turn_id), takes_damaged=True):
            if getattr(one.event, "step_id", None) == step_id:
                if isinstance(one.event, TurnStepCompleted | TurnStepFailed):
                    return one.version
                is_known = True
        if is_known:
            raise Invalid(f"step_id: step {step_id!r} has not ended, so there is no point after it.")
        raise NotFound(f"step_id: there is no step {step_id!r} in turn {turn_id!r}.")


def _ended(session: SessionState) -> tuple[str, ...]:
    return tuple(turn_id for turn_id in session.turns if turn_id != session.open_turn)
