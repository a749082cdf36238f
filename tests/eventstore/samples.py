"""Events and appends for the tests of the event log."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from schemas.events.base import Event
from schemas.events.session import SessionCreated
from stack.eventstore import Append, EventStore, Fold, StreamWrite, stream_name

LONG = 256 * 1024 + 1


def count(state: tuple[str, ...], event: Event, recorded_at: int, version: int) -> tuple[str, ...]:
    return (*state, type(event).__name__)


NAMES = Fold[tuple[str, ...]]((), count)


def session(name: str = "n") -> SessionCreated:
    return SessionCreated(agent_id="a", session_name=name)


def write(stream: str, version: int, *events: Event) -> StreamWrite:
    return StreamWrite(stream, version, events or (session(),))


def one(stream: str, version: int = 0, *events: Event, **rest: Any) -> Append:
    return Append((write(stream, version, *events),), **rest)


def fresh(category: str = "session") -> str:
    return stream_name(category, str(uuid4()))


async def texts(log: EventStore, stream: str) -> list[str]:
    return [
        e.event.session_name if isinstance(e.event, SessionCreated) else type(e.event).__name__
        for e in await log.read_stream(stream)
    ]
