"""Makes sessions that share turns with others independent: the same turns, as a session without a parent or forks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from schemas.events.agent import AgentDeleted
from schemas.events.base import Event
from schemas.events.session import (
    SessionCreated,
    SessionForkAdded,
    SessionForked,
    SessionForkRemoved,
    SessionTurnClosed,
    SessionTurnOpened,
)
from schemas.events.turn import TurnEffectSettled, TurnStarted
from stack.eventstore import Recorded
from stack.services.replay.session_record import SessionRecord, turn_state

FORK_NAMES = ("session.fork_added.", "session.fork_removed.")
"""Names, without version, of the events by which a session knows its forks."""


def until(record: SessionRecord, position: int) -> SessionRecord:
    """Returns the record without events after a position of the log."""

    def before(events: Sequence[Recorded]) -> list[Recorded]:
        return [one for one in events if one.position <= position]

    turns = {id: before(events) for id, events in record.turns.items()}
    return replace(
        record,
        agents={id: before(events) for id, events in record.agents.items()},
        session=before(record.session),
        turns={id: events for id, events in turns.items() if events},
    )


def independent(record: SessionRecord) -> SessionRecord:
    """Returns a record whose session has recorded all its turns itself. A turn of an agent that was deleted becomes one of
    the session's agent, because its configuration is gone."""
    gone = {
        id
        for id, events in record.agents.items()
        if any(isinstance(one.event, AgentDeleted) for one in events)
    }
    turns = {id: [_own(one, record, gone) for one in events] for id, events in record.turns.items()}
    agents = {id: events for id, events in record.agents.items() if id not in gone}
    whole = replace(record, agents=agents, turns=turns)
    session = [
        one._replace(version=version, event=event)
        for version, (one, event) in enumerate(_session_events(whole), 1)
    ]
    return replace(whole, session=session)


def _own(one: Recorded, record: SessionRecord, gone: set[str]) -> Recorded:
    match one.event:
        case TurnStarted(agent_id=agent_id) as started:
            started = replace(started, session_id=record.session_id)
            if agent_id in gone:
                started = replace(started, agent_id=record.agent_id, agent_version=0)
            return one._replace(event=started)
        case TurnEffectSettled() as settled:
            return one._replace(event=replace(settled, session_id=record.session_id))
    return one


def _session_events(record: SessionRecord) -> Iterator[tuple[Recorded, Event]]:
    for one in record.session:
        match one.event:
            case SessionForked() as forked:
                for event in _unforked(record, forked):
                    yield one, replace(event, actor=forked.actor, trace_id=forked.trace_id)
            case SessionForkAdded() | SessionForkRemoved():
                continue
            case event:
                yield one, event


def _unforked(record: SessionRecord, forked: SessionForked) -> Iterator[Event]:
    """Yields what a session would have recorded that had run the shared turns itself."""
    yield SessionCreated(agent_id=forked.agent_id, session_name=forked.session_name)
    for turn_id in forked.turns:
        if turn_id in record.turns:
            yield SessionTurnOpened(turn_id=turn_id)
            yield SessionTurnClosed(turn_id=turn_id, status=turn_state(record.turns[turn_id]).status)
    if forked.copied is not None:
        yield SessionTurnOpened(turn_id=forked.copied.turn_id)
