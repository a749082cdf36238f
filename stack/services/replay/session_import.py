"""Imports recorded sessions: their events are written to the log in one append, with their ids and times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from projections import tool_call as call_views
from schemas.api.session_file import ImportedSession
from schemas.events.base import Event
from schemas.events.session import SessionCreated, SessionImported
from schemas.events.turn import TurnCancelled, TurnInputRequested
from stack.domain import agent as agents
from stack.domain import session as sessions
from stack.domain import turn as turns
from stack.domain.agent import AgentState
from stack.errors import Conflict, Invalid, NotFound, TooLarge, VersionConflict
from stack.eventstore import Append, EventStore, Expect, Recorded, StreamWrite, split_stream, stream_name
from stack.services.replay.session_file import plain
from stack.services.replay.session_forms import Parsed
from stack.services.replay.session_record import SessionRecord, check_record, session_state, turn_state
from stack.services.requests.caller import Caller
from stack.services.state import States
from stack.services.views import Views

INTERRUPTED = "The turn was running when its session was exported; an imported turn is not run."
_ATTEMPTS = 5

_encode = msgspec.json.Encoder().encode


class Origin(Struct, frozen=True, kw_only=True):
    """The origin of a record: the format and the SHA-256 (hex) of the file, and those of its fields that have no place
    in the events."""

    format: str
    digest: str
    extra: dict[str, Any] | None = None


class SessionImport:
    """`max_agent_bytes` limits the configuration of an agent."""

    def __init__(self, store: EventStore, states: States, views: Views, max_agent_bytes: int) -> None:
        self._store = store
        self._states = states
        self._views = views
        self._max_agent_bytes = max_agent_bytes

    async def import_file(
        self,
        parse: Callable[[], Sequence[Parsed]],
        form: str,
        name: str | None,
        agent_id: str | None,
        caller: Caller,
        command: str = "",
    ) -> ImportedSession:
        """Imports what `parse` returns: under another `name`, or as sessions of an agent of this server. Raises the
        errors of `parse` and of `import_records`, NotFound for an unknown agent, and Invalid for a name of several
        sessions."""
        parsed = await asyncio.to_thread(parse)
        records = [one.record for one in parsed]
        if agent_id is not None:
            await self._states.agent(agent_id)
            stream = stream_name("agent", agent_id)
            events = (await self._store.read_streams([stream]))[stream]
            records = [for_agent(record, agent_id, events) for record in records]
        if name is not None:
            if len(records) > 1:
                raise Invalid(f"The file has {len(records)} sessions, and name is that of one. Leave it out.")
            records = [named(records[0], name)]
        origins = [Origin(format=form, digest=one.digest, extra=one.extra) for one in parsed]
        return await self.import_records(list(zip(records, origins, strict=True)), caller, command)

    async def shown(self, session_ids: Sequence[str]) -> ImportedSession:
        """Returns sessions that were imported before. Raises NotFound."""
        first, *others = [await self._shown(one) for one in session_ids]
        return replace(first, others=others)

    async def _shown(self, session_id: str) -> ImportedSession:
        state = await self._states.any_session(session_id)
        streams = await self._store.read_streams([stream_name("turn", one) for one in state.turns])
        closed = [
            split_stream(stream)[2]
            for stream, events in streams.items()
            if events
            and isinstance(events[-1].event, TurnCancelled)
            and events[-1].event.reason == INTERRUPTED
        ]
        return ImportedSession(state.agent_id, session_id, len(state.turns), closed)

    async def import_records(
        self, records: Sequence[tuple[SessionRecord, Origin]], caller: Caller, command: str = ""
    ) -> ImportedSession:
        """Records sessions, their turns, and those of their agents that do not exist here. A turn that was running is closed
        as cancelled: nothing is run. Durable on return; on an error nothing was written.

        Raises Invalid for events that do not fit together, TooLarge, Unavailable, and Conflict if a session, a turn or
        another agent with its id is there, or was deleted.
        """
        sessions: list[StreamWrite] = []
        done: list[ImportedSession] = []
        for record, origin in records:
            await asyncio.to_thread(self._check, record)
            writes, closed = await asyncio.to_thread(_writes, record, origin, caller)
            sessions += writes
            done.append(ImportedSession(record.agent_id, record.session_id, len(record.turns), closed))
        await self._check_approvals(records)
        for _ in range(_ATTEMPTS):
            known, expects = await self._agents([record for record, _ in records])
            try:
                await self._store.append(Append((*known, *sessions), expects=tuple(expects), command=command))
            except VersionConflict as error:
                for record, origin in records:
                    await self._explain(error.stream, record, origin)
            else:
                return replace(done[0], others=done[1:])
        raise Conflict(
            f"The agents of session {done[0].session_id!r} are busy with other requests. Try again."
        )

    def _check(self, record: SessionRecord) -> None:
        check_record(record)
        created = record.session[0].event
        assert isinstance(created, SessionCreated)
        sessions.create(record.agent_id, created.session_name)
        for id, events in record.agents.items():
            size = max(len(_encode(one.event)) for one in events)
            if size > self._max_agent_bytes:
                raise TooLarge(
                    f"The configuration of agent {id!r} has {size} bytes; at most {self._max_agent_bytes} are accepted. "
                    "Raise max_agent_bytes."
                )

    async def _check_approvals(self, records: Sequence[tuple[SessionRecord, Origin]]) -> None:
        """Raises Conflict if a decision here has an id of these records: it would be mistaken for theirs."""
        asked = [
            one.event.request_id
            for record, _ in records
            for events in record.turns.values()
            for one in events
            if isinstance(one.event, TurnInputRequested)
        ]
        if not asked:
            return
        found = await self._views.read(("session", "turn"), call_views.taken, asked)
        if not found and len(set(asked)) == len(asked):
            return
        for record, origin in records:
            if await self._store.read_stream(stream_name("session", record.session_id), takes_damaged=True):
                raise Conflict(await self._existing(record, origin))
        id = found[0] if found else next(one for one in asked if asked.count(one) > 1)
        raise Conflict(
            f"The approval {id!r} is already there, of a call of another turn. Nothing was imported."
        )

    async def _agents(self, records: Sequence[SessionRecord]) -> tuple[list[StreamWrite], list[Expect]]:
        """Returns the writes of agents that do not exist here, and what must hold for the others. Raises Conflict."""
        agents = {id: events for record in records for id, events in record.agents.items()}
        streams = {id: stream_name("agent", id) for id in agents}
        stored = await self._store.read_streams(list(streams.values()))
        writes, expects = [], []
        for id, events in agents.items():
            there = stored[streams[id]]
            if not there:
                writes.append(StreamWrite(streams[id], 0, _copies(events)))
                continue
            if _agent_state(there).deleted:
                raise Conflict(
                    f"The agent {id!r} of this session was deleted here, and its id is not used again. Import the session "
                    "for another agent."
                )
            # Not by their times: an agent that other tools name has no time of creation.
            if not _begins_with(there, events, with_times=False):
                raise Conflict(
                    f"Another agent with the id {id!r} is there, or its configuration was changed differently. Import the "
                    "session for another agent."
                )
            expects.append(Expect(streams[id], there[-1].version))
        return writes, expects

    async def _explain(self, stream: str, record: SessionRecord, origin: Origin) -> None:
        """Raises Conflict for a stream that is there. Returns if an agent was created or changed in the meantime."""
        _, category, id = split_stream(stream)
        if category == "turn" and id in record.turns:
            raise Conflict(
                f"The turn {id!r} of session {record.session_id!r} is already there, in another session. Nothing was "
                "imported."
            )
        if category == "session" and id == record.session_id:
            raise Conflict(await self._existing(record, origin))

    async def _existing(self, record: SessionRecord, origin: Origin) -> str:
        """Returns how the session that is there relates to the record."""
        id = record.session_id
        try:
            state = await self._states.any_session(id)
        except NotFound:
            return f"The session {id!r} was deleted here, and its id is not used again. Nothing was imported."
        there = f"The session {id!r} of agent {state.agent_id!r} is already there"
        stored = await self._store.read_stream(stream_name("session", id), takes_damaged=True)
        if any(
            isinstance(one.event, SessionImported) and one.event.digest == origin.digest for one in stored
        ):
            return f"{there}: it was imported from this file before. Nothing was imported."
        streams = await self._store.read_streams([stream_name("turn", turn_id) for turn_id in record.turns])
        same = _begins_with(stored, record.session) and all(
            _begins_with(streams[stream_name("turn", turn_id)], events)
            for turn_id, events in record.turns.items()
        )
        content = "with the content of the file" if same else "with other content than the file has"
        return f"{there}, {content}. Nothing was imported."


def _writes(record: SessionRecord, origin: Origin, caller: Caller) -> tuple[list[StreamWrite], list[str]]:
    """Returns the writes of the session and its turns, and the ids of the turns that they close."""
    writes, closed = [], []
    ends: list[Event] = []
    for turn_id, events in record.turns.items():
        copies = _copies(events)
        state = turn_state(events)
        if state.status == "running":
            cancelled = TurnCancelled(reason=INTERRUPTED, output_message=turns.produced(state))
            copies += caller.stamp([*turns.broken_off(state), cancelled])
            closed.append(turn_id)
            if session_state(record).open_turn == turn_id:
                ends += sessions.close_turn(turn_id, "cancelled")
        writes.append(StreamWrite(stream_name("turn", turn_id), 0, copies))
    ends.append(SessionImported(format=origin.format, digest=origin.digest, extra=origin.extra))
    own = [*_copies(record.session), *caller.stamp(ends)]
    return [StreamWrite(stream_name("session", record.session_id), 0, own), *writes], closed


def _copies(events: Sequence[Recorded]) -> list[Event]:
    return [replace(one.event, occurred_at=one.recorded_at) for one in events]


def _begins_with(stored: Sequence[Recorded], events: Sequence[Recorded], *, with_times: bool = True) -> bool:
    if len(stored) < len(events):
        return False
    return all(
        plain(one.event) == plain(other.event) and (not with_times or one.recorded_at == other.recorded_at)
        for one, other in zip(stored, events, strict=False)
    )


def _agent_state(events: Sequence[Recorded]) -> AgentState:
    state = AgentState()
    for one in events:
        state = agents.evolve(state, one.event, one.recorded_at, one.version)
    return state


def named(record: SessionRecord, name: str) -> SessionRecord:
    """Returns the record under another name."""
    first = record.session[0]
    renamed = first._replace(event=replace(first.event, session_name=name))
    return replace(record, session=[renamed, *record.session[1:]])


def for_agent(record: SessionRecord, agent_id: str, events: Sequence[Recorded]) -> SessionRecord:
    """Returns the record as a session of another agent, given by its id and its events."""

    def changed(started: Recorded) -> Recorded:
        return started._replace(event=replace(started.event, agent_id=agent_id, agent_version=0))

    first = record.session[0]
    created = first._replace(event=replace(first.event, agent_id=agent_id))
    return replace(
        record,
        agent_id=agent_id,
        agents={agent_id: events},
        session=[created, *record.session[1:]],
        turns={turn_id: [changed(turn[0]), *turn[1:]] for turn_id, turn in record.turns.items()},
    )
