"""Sessions: at most one open turn at a time, and the order of turns."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from schemas.events.base import Damaged, Erased, Event
from schemas.events.session import SessionCreated, SessionDeleted, SessionTurnClosed, SessionTurnOpened
from stack.errors import Conflict, ContentDamaged, Invalid, NotFound


class SessionState(Struct, frozen=True):
    """`turns` holds all turn ids in the order of opening; `open_turn` is the one that has not ended ("" if
    none). `damage` says which event cannot be read ("" if all can): its creation, so that `agent_id` is not known, or
    the opening of a turn, which is missing from `turns`."""

    agent_id: str = ""
    session_name: str = ""
    created_at: int = 0
    turns: tuple[str, ...] = ()
    open_turn: str = ""
    deleted: bool = False
    damage: str = ""


DAMAGED_NAME = "[The name is damaged in the server's log and cannot be read.]"


def evolve(state: SessionState, event: Event, recorded_at: int, version: int) -> SessionState:
    match event:
        case SessionCreated(agent_id=agent_id, session_name=name):
            return SessionState(agent_id, name, recorded_at)
        case SessionTurnOpened(turn_id=turn_id):
            return replace(state, turns=(*state.turns, turn_id), open_turn=turn_id)
        case SessionTurnClosed():
            return replace(state, open_turn="")
        case SessionDeleted():
            return replace(state, session_name="", open_turn="", deleted=True)
        case Damaged(name="session.created"):
            return SessionState("", DAMAGED_NAME, recorded_at, damage=event.detail)
        case Damaged(name="session.turn_opened"):
            return replace(state, damage=event.detail)
        case Damaged(name="session.turn_closed"):
            return replace(state, open_turn="")
        case Damaged(name="session.deleted"):
            return replace(state, session_name="", open_turn="", deleted=True)
    return state


def with_remains(state: SessionState, agent_id: str, name: str, turns: Collection[str]) -> SessionState:
    """A damaged session with what is known of it from elsewhere: empty texts for what is not known. Ids of turns
    rise."""
    return replace(
        state,
        agent_id=state.agent_id or agent_id,
        session_name=name or state.session_name,
        turns=tuple(sorted({*state.turns, *turns})),
    )


def existing(state: SessionState, agent_id: str, session_id: str) -> SessionState:
    """Returns the session. Raises NotFound if it never existed, was deleted, or belongs to another agent, and
    ContentDamaged if that is not known."""
    if state.damage and not state.agent_id and not state.deleted:
        raise ContentDamaged(f"It is not known whose session {session_id!r} is. {state.damage}")
    if state.agent_id != agent_id or state.deleted:
        raise NotFound(f"There is no session {session_id!r} of agent {agent_id!r}.")
    return state


MAX_NAME_BYTES = 64 * 2**10
"""Maximum length of a name in bytes. Names are kept in the read model, which must stay small."""


def create(agent_id: str, session_name: str) -> list[Event]:
    if not session_name.strip():
        raise Invalid("session_name is empty; give the session a name.")
    size = len(session_name.encode("utf-8", "surrogatepass"))
    if size > MAX_NAME_BYTES:
        raise Invalid(
            f"session_name has {size} bytes; at most {MAX_NAME_BYTES} are allowed. Give a shorter name."
        )
    return [SessionCreated(agent_id=agent_id, session_name=session_name)]


def open_turn(state: SessionState, turn_id: str) -> list[Event]:
    """Raises Conflict while another turn is open."""
    if state.open_turn:
        raise Conflict(
            f"Turn {state.open_turn!r} of this session is still running. Wait for its end, follow it at "
            f".../turn/{state.open_turn}/stream, or cancel it with POST .../turn/{state.open_turn}/cancel."
        )
    return [SessionTurnOpened(turn_id=turn_id)]


def close_turn(turn_id: str, status: str) -> list[Event]:
    return [SessionTurnClosed(turn_id=turn_id, status=status)]


def delete(erased: Erased) -> list[Event]:
    return [SessionDeleted(erased=erased)]
