"""Events of `session/<session_id>`. A session holds references to its turns, never their content."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.events.base import Deletion, Event


class SessionCreated(Event, frozen=True, tag="session.created.1"):
    agent_id: str
    session_name: str


class CopiedTurn(Struct, frozen=True):
    """The turn in which a session was forked: a turn of its own, with copies of the events of the turn `source` up to and
    including `version`."""

    turn_id: str
    source: str
    version: int


class SessionForked(Event, frozen=True, tag="session.forked.1"):
    """The first event of a session that shares its past with another one. `parent_version` is the version of the parent's
    stream at the fork; `turns` are the ids of the shared turns in order; `root` is the session in which the first of all
    these forks was made, whose stream counts them (the parent, unless it is a fork itself)."""

    agent_id: str
    session_name: str
    parent: str
    parent_version: int
    root: str
    turns: list[str]
    copied: CopiedTurn | None = None


class SessionForkAdded(Event, frozen=True, tag="session.fork_added.1"):
    """Recorded in the stream of the root session, in one append with `session.forked`, also after its deletion. All forks
    and deletions of sessions that share turns write to that stream, so of two at the same time one is repeated."""

    session_id: str


class SessionForkRemoved(Event, frozen=True, tag="session.fork_removed.1"):
    """Recorded in the stream of the root session, in one append with the deletion of one of its forks."""

    session_id: str


class SessionImported(Event, frozen=True, tag="session.imported.1"):
    """Recorded after the events of a session that was recorded elsewhere. `format` and `digest` (SHA-256, hex) identify
    the imported file; `extra` holds those of its fields that have no place in the events."""

    format: str
    digest: str
    extra: dict[str, Any] | None = None


class SessionTurnOpened(Event, frozen=True, tag="session.turn_opened.1"):
    """Appended together with the turn's `turn.started`; its version in this stream makes a second open turn a
    conflict."""

    turn_id: str


class SessionTurnClosed(Event, frozen=True, tag="session.turn_closed.1"):
    turn_id: str
    status: str


class SessionDeleted(Deletion, frozen=True, tag="session.deleted.1"):
    """The content of the session and of its turns is redacted in the same transaction, except for the turns in `kept`, to
    which other sessions refer. `freed` are the turns whose content is redacted although another session recorded them:
    this was the last one that referred to them. `forks` are the existing forks of a session that is the root of some;
    `root` is that of a fork."""

    kept: list[str] | None = None
    freed: list[str] | None = None
    forks: list[str] | None = None
    root: str = ""


EVENTS = (
    SessionCreated,
    SessionForked,
    SessionForkAdded,
    SessionForkRemoved,
    SessionImported,
    SessionTurnOpened,
    SessionTurnClosed,
    SessionDeleted,
)
