"""Sessions: at most one open turn at a time, and the order of turns."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from schemas.events.base import Damaged, Erased, Event
from schemas.events.session import (
    SessionCreated,
    SessionDeleted,
    SessionForkAdded,
    SessionForked,
    SessionForkRemoved,
    SessionImported,
    SessionTurnClosed,
    SessionTurnOpened,
)
from stack.errors import Conflict, ContentDamaged, Invalid, NotFound


class SessionState(Struct, frozen=True):
    """`turns` holds all turn ids in the order of opening; `open_turn` is the one that has not ended ("" if
    none). `damage` says which event cannot be read ("" if all can): its creation, so that `agent_id` is not known,
    the opening of a turn, which is missing from `turns`, or a change of `forks`.

    A fork has a `parent` and a `root` (see `SessionForked`), and shares its first `shared` turns with other sessions, which
    recorded them. `forks` are the existing forks of a root and their forks, in the order of creation; a root has them
    after its deletion too. The first `imported` turns were recorded by another server."""

    agent_id: str = ""
    session_name: str = ""
    created_at: int = 0
    turns: tuple[str, ...] = ()
    open_turn: str = ""
    deleted: bool = False
    damage: str = ""
    parent: str = ""
    root: str = ""
    shared: int = 0
    forks: tuple[str, ...] = ()
    imported: int = 0

    @property
    def shared_turns(self) -> tuple[str, ...]:
        """The turns that other sessions recorded."""
        return self.turns[: self.shared]


DAMAGED_NAME = "[The name is damaged in the server's log and cannot be read.]"


def evolve(state: SessionState, event: Event, recorded_at: int, version: int) -> SessionState:
    match event:
        case SessionCreated(agent_id=agent_id, session_name=name):
            return SessionState(agent_id, name, recorded_at)
        case SessionForked():
            return _forked(event, recorded_at)
        case SessionForkAdded(session_id=fork):
            return replace(state, forks=(*state.forks, fork))
        case SessionForkRemoved(session_id=fork):
            return replace(state, forks=tuple(one for one in state.forks if one != fork))
        case SessionImported():
            return replace(state, imported=len(state.turns))
        case SessionTurnOpened(turn_id=turn_id):
            return replace(state, turns=(*state.turns, turn_id), open_turn=turn_id)
        case SessionTurnClosed():
            return replace(state, open_turn="")
        case SessionDeleted(forks=forks, root=root):
            gone = replace(state, session_name="", open_turn="", deleted=True)
            return replace(gone, forks=tuple(forks or ()), root=root)
        case Damaged(name="session.created" | "session.forked"):
            return SessionState("", DAMAGED_NAME, recorded_at, damage=event.detail)
        case Damaged(name="session.turn_opened" | "session.fork_added" | "session.fork_removed"):
            return replace(state, damage=event.detail)
        case Damaged(name="session.turn_closed"):
            return replace(state, open_turn="")
        case Damaged(name="session.deleted"):
            return replace(state, session_name="", open_turn="", deleted=True, damage=event.detail)
    return state


def _forked(event: SessionForked, recorded_at: int) -> SessionState:
    copied = event.copied.turn_id if event.copied is not None else ""
    return SessionState(
        event.agent_id,
        event.session_name,
        recorded_at,
        turns=(*event.turns, *([copied] if copied else ())),
        open_turn=copied,
        parent=event.parent,
        root=event.root,
        shared=len(event.turns),
    )


class Remains(Struct, frozen=True, kw_only=True):
    """The known data of a damaged session, from elsewhere; empty fields are unknown."""

    agent_id: str
    name: str
    parent: str
    root: str
    turns: Collection[str]
    shared: int
    forks: Collection[str]


def with_remains(state: SessionState, known: Remains) -> SessionState:
    """Returns a damaged session with what is known of it from elsewhere. Ids of turns and of forks rise."""
    return replace(
        state,
        agent_id=state.agent_id or known.agent_id,
        session_name=known.name or state.session_name,
        parent=state.parent or known.parent,
        root=state.root or known.root,
        turns=tuple(sorted({*state.turns, *known.turns})),
        shared=max(state.shared, known.shared),
        forks=tuple(sorted({*state.forks, *known.forks})),
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
    """Raises Invalid."""
    check_name(session_name)
    return [SessionCreated(agent_id=agent_id, session_name=session_name)]


def check_name(session_name: str) -> None:
    """Raises Invalid for a name that is empty or too long."""
    if not session_name.strip():
        raise Invalid("session_name is empty; give the session a name.")
    size = len(session_name.encode("utf-8", "surrogatepass"))
    if size > MAX_NAME_BYTES:
        raise Invalid(
            f"session_name has {size} bytes; at most {MAX_NAME_BYTES} are allowed. Give a shorter name."
        )


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


class Redaction(Struct, frozen=True, kw_only=True):
    """The turns that deleting a session redacts and keeps: `redacted` are the turns that lose their content, `kept` those to which
    other sessions refer, and `freed` those of `redacted` that another session recorded."""

    redacted: tuple[str, ...]
    kept: tuple[str, ...]
    freed: tuple[str, ...]


def redaction(session: SessionState, kept: Collection[str]) -> Redaction:
    """`kept` are turns to which other existing sessions refer."""
    return Redaction(
        redacted=tuple(turn for turn in session.turns if turn not in kept),
        kept=tuple(turn for turn in session.turns if turn in kept),
        freed=tuple(turn for turn in session.shared_turns if turn not in kept),
    )


def delete(session: SessionState, turns: Redaction, erased: Erased) -> list[Event]:
    deleted = SessionDeleted(
        erased=erased,
        kept=list(turns.kept) or None,
        freed=list(turns.freed) or None,
        forks=list(session.forks) or None,
        root=session.root,
    )
    return [deleted]
