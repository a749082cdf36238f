"""A recorded session as a value: all events from which it can be shown, exported, or run again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from schemas.events.agent import AgentCreated
from schemas.events.session import SessionCreated, SessionTurnOpened
from schemas.events.turn import TurnStarted
from stack.domain import session as sessions
from stack.domain import turn as turns
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.errors import Invalid
from stack.eventstore import EventStore, Recorded, stream_name

if TYPE_CHECKING:
    # Its read models need DuckDB, which readers of session files do not.
    from stack.services.state import States

_ID = re.compile(r"[A-Za-z0-9._:@-]{1,200}")
_LAST_US = 253_402_300_799_000_000  # the end of the year 9999


class SessionRecord(Struct, frozen=True, kw_only=True):
    """The events of a session, complete: long strings are in them, not in blobs.

    `agents` holds the events of its agent, and of the other agents that ran its turns, by id; `turns` those of its turns,
    by id, in the order of the session.
    """

    agent_id: str
    session_id: str
    agents: Mapping[str, Sequence[Recorded]]
    session: Sequence[Recorded]
    turns: Mapping[str, Sequence[Recorded]]


async def read_record(store: EventStore, states: States, agent_id: str, session_id: str) -> SessionRecord:
    """Returns the record of a session. `Damaged` replaces events that cannot be read. Raises NotFound."""
    session = (await states.session(agent_id, session_id)).state
    names = {turn_id: stream_name("turn", turn_id) for turn_id in session.turns}
    streams = await store.read_streams(list(names.values()))
    turns = {turn_id: streams[name] for turn_id, name in names.items()}
    others = [
        events[0].event.agent_id
        for events in turns.values()
        if events and isinstance(events[0].event, TurnStarted)
    ]
    agents = {id: stream_name("agent", id) for id in dict.fromkeys((agent_id, *others))}
    own = stream_name("session", session_id)
    streams = await store.read_streams([own, *agents.values()])
    return SessionRecord(
        agent_id=agent_id,
        session_id=session_id,
        agents={id: streams[name] for id, name in agents.items()},
        session=streams[own],
        turns=turns,
    )


def check_record(record: SessionRecord) -> None:
    """Raises Invalid for a record whose events do not fit together."""
    for id in (record.agent_id, record.session_id, *record.agents, *record.turns):
        if not _ID.fullmatch(id):
            raise Invalid(f"The id {id[:200]!r} must have 1 to 200 letters, digits, or any of . _ : @ -")
    created = record.session[0].event if record.session else None
    if not isinstance(created, SessionCreated):
        raise Invalid(f"The session {record.session_id!r} does not begin with its creation.")
    if created.agent_id != record.agent_id:
        raise Invalid(f"The session belongs to agent {created.agent_id[:200]!r}, not to {record.agent_id!r}.")
    opened = [one.event.turn_id for one in record.session if isinstance(one.event, SessionTurnOpened)]
    if opened != list(record.turns):
        raise Invalid("The turns are not those that the session opened, in the same order and each once.")
    needed = {record.agent_id}
    for id, events in record.turns.items():
        started = events[0].event if events else None
        if not isinstance(started, TurnStarted) or started.session_id != record.session_id:
            raise Invalid(f"The turn {id!r} does not begin with its start in session {record.session_id!r}.")
        needed.add(started.agent_id)

    if missing := sorted(needed - record.agents.keys()):
        raise Invalid(f"The events of agent {missing[0][:200]!r} are missing.")
    for id, events in record.agents.items():
        if id not in needed or not events or not isinstance(events[0].event, AgentCreated):
            raise Invalid(
                f"The agent {id!r} ran no turn of this session, or does not begin with its creation."
            )
    for events in (record.session, *record.agents.values(), *record.turns.values()):
        if not all(0 < one.recorded_at <= _LAST_US for one in events):
            raise Invalid("An event has a time before 1970 or after 9999.")


def session_state(record: SessionRecord) -> SessionState:
    state = SessionState()
    for one in record.session:
        state = sessions.evolve(state, one.event, one.recorded_at, one.version)
    return state


def turn_state(events: Sequence[Recorded]) -> TurnState:
    state = TurnState()
    for one in events:
        state = turns.evolve(state, one.event, one.recorded_at, one.version)
    return state
