"""Events of `session/<session_id>`. A session holds references to its turns, never their content."""

from __future__ import annotations

from schemas.events.base import Deletion, Event


class SessionCreated(Event, frozen=True, tag="session.created.1"):
    agent_id: str
    session_name: str


class SessionTurnOpened(Event, frozen=True, tag="session.turn_opened.1"):
    """Appended together with the turn's `turn.started`; its version in this stream makes a second open turn a
    conflict."""

    turn_id: str


class SessionTurnClosed(Event, frozen=True, tag="session.turn_closed.1"):
    turn_id: str
    status: str


class SessionDeleted(Deletion, frozen=True, tag="session.deleted.1"):
    """The content of the session and of its turns is redacted in the same transaction."""


EVENTS = (SessionCreated, SessionTurnOpened, SessionTurnClosed, SessionDeleted)
SessionEvent = SessionCreated | SessionTurnOpened | SessionTurnClosed | SessionDeleted
