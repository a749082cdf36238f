"""Creates and deletes sessions. Reads use the read model."""

from __future__ import annotations

from collections.abc import Sequence

from projections import session as session_views
from projections.warehouse.reader import rfc3339
from schemas.api.session import Session
from schemas.events.base import Erased
from schemas.events.session import SessionForkRemoved
from stack.domain import session as sessions
from stack.errors import Conflict, NotFound, VersionConflict
from stack.eventstore import Append, EventStore, Expect, StreamWrite, stream_name
from stack.services.agents.family import Families
from stack.services.effects import new_id
from stack.services.requests.caller import Caller
from stack.services.state import States
from stack.services.turns.conversation import Conversations
from stack.services.turns.turn import READ, TurnService
from stack.services.views import Views

CREATE_ATTEMPTS = 50
DELETE_ATTEMPTS = 10


class SessionService:
    def __init__(
        self,
        store: EventStore,
        states: States,
        views: Views,
        turns: TurnService,
        conversations: Conversations,
        families: Families,
    ) -> None:
        self._store = store
        self._states = states
        self._views = views
        self._turns = turns
        self._conversations = conversations
        self._families = families

    async def create(self, agent_id: str, session_name: str, caller: Caller, command: str) -> str:
        """Returns the new session's id. Raises NotFound for an unknown agent, Invalid."""
        session_id = new_id()
        for _ in range(CREATE_ATTEMPTS):
            _, agent_version = await self._states.agent(agent_id)
            events = caller.stamp(sessions.create(agent_id, session_name))
            write = StreamWrite(stream_name("session", session_id), 0, events)
            expects = (Expect(stream_name("agent", agent_id), agent_version),)
            try:
                await self._store.append(Append((write,), expects=expects, command=command))
            except VersionConflict:
                continue
            return session_id
        raise Conflict(f"Agent {agent_id!r} is busy: it is updated again and again. Try again.")

    async def show(
        self,
        agent_id: str,
        session_id: str,
        turn_ids: Sequence[str] | None,
        start_index: int,
        limit: int | None,
        max_bytes: int,
        as_of: int | None = None,
    ) -> tuple[Session, bool]:
        """Returns the session with its turns, or those of `turn_ids`: from `start_index` on, at most `limit`
        (None: all) and about `max_bytes`, at least one; and whether more follow. Turns that the read models
        could not apply, because their events are damaged, are shown as far as the other events allow. Raises
        NotFound, and ContentDamaged if the session's agent is unknown."""
        found = await self._views.read(
            READ, session_views.part, agent_id, session_id, turn_ids, start_index, limit, max_bytes, as_of
        )
        if failed := self._views.failed_streams():
            state, _ = await self._states.session(agent_id, session_id, as_of)
            wanted = [turn for turn in state.turns if turn_ids is None or turn in turn_ids]
            if found is None or any(stream_name("turn", turn) in failed for turn in wanted):
                end = len(wanted) if limit is None else start_index + limit
                shown = [
                    (await self._turns.show(agent_id, session_id, turn, as_of)).turn
                    for turn in wanted[start_index:end]
                ]
                return Session(session_id, state.session_name, shown, rfc3339(state.created_at)), end < len(
                    wanted
                )
        if found is None:
            raise NotFound(f"There is no session {session_id!r} of agent {agent_id!r}.")
        return found

    async def delete(self, agent_id: str, session_id: str, caller: Caller) -> None:
        """Ends the session's open turn, then deletes the session and redacts its content, except for turns to which other
        sessions refer."""
        for _ in range(DELETE_ATTEMPTS):
            session, _ = await self._states.session(agent_id, session_id)
            if session.open_turn:
                await self._turns.cancel(session_id, session.open_turn, "The session was deleted.")
            try:
                async with self._families.lock(session.root or session_id):
                    await self._delete(agent_id, session_id, caller)
            except VersionConflict:
                continue
            self._conversations.forget(session_id)
            return
        raise Conflict(f"Session {session_id!r} is busy: new turns begin faster than they can be ended.")

    async def _delete(self, agent_id: str, session_id: str, caller: Caller) -> None:
        """Raises VersionConflict if the session, or another one with which it shares turns, changes at the same time."""
        session, version = own = await self._states.session(agent_id, session_id)
        stream = stream_name("session", session_id)
        if session.open_turn:
            raise VersionConflict(stream, version)
        root = await self._states.session_or_rest(session.root) if session.root else own
        turns = sessions.redaction(session, await self._families.kept(session_id, session, root))
        redact = (stream, *(stream_name("turn", turn_id) for turn_id in turns.redacted))
        events, blobs = await self._store.held_by(redact)
        erased = Erased(events=events, blobs=blobs, turns=len(turns.redacted), agent_id=agent_id)
        writes = [StreamWrite(stream, version, caller.stamp(sessions.delete(session, turns, erased)))]
        if session.root:
            removed = caller.stamp([SessionForkRemoved(session_id=session_id)])
            writes.append(StreamWrite(stream_name("session", session.root), root.version, removed))
        await self._store.append(Append(tuple(writes), redact=redact))
