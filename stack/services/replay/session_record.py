"""A recorded session as a value: all events from which it can be shown, exported, or run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from schemas.events.turn import TurnStarted
from stack.eventstore import EventStore, Recorded, stream_name
from stack.services.state import States


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
