"""Exports sessions to files, line by line: a session of any size takes the memory of a few turns."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from projections.warehouse.feed import DAMAGED, Record
from schemas.events.base import Damaged, Unknown
from schemas.events.session import SessionImported
from schemas.session_file import (
    FORMAT_VERSION,
    Environment,
    SessionFileBlob,
    SessionFileEvent,
    SessionFileHeader,
)
from stack.domain import session as sessions
from stack.domain.session import SessionState
from stack.errors import ContentDamaged, NotFound
from stack.eventstore import EventStore, split_stream, stream_name
from stack.eventstore.blob_markers import digests_in
from stack.eventstore.codec import REDACTED_STATE, Codec
from stack.eventstore.damage import NOT_RECORDED, event_damaged
from stack.services.replay.independent import FORK_NAMES, independent
from stack.services.replay.independent import until as until_position
from stack.services.replay.session_file import Kept, SessionFile, written
from stack.services.replay.session_forms import SESSION
from stack.services.replay.session_lines import Lines
from stack.services.replay.session_record import SessionRecord, read_record
from stack.services.state import States
from stack.settings import Settings
from stack.version import VERSION

_TURNS = 32
"""How many turns are read at once."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class _Time(Struct):
    occurred_at: int = 0


_time = msgspec.json.Decoder(_Time)


class SessionExport:
    """`settings` are those that influence a turn: a file names them."""

    def __init__(self, store: EventStore, states: States, settings: Mapping[str, Any]) -> None:
        self._store = store
        self._states = states
        self._codec = Codec()
        self._environment = Environment(VERSION, platform.python_version(), dict(settings))

    async def lines(self, agent_id: str, session_id: str) -> AsyncIterator[bytes]:
        """Returns the file, in pieces of whole lines: of what is recorded now, whatever is recorded in the meantime.
        Raises NotFound. The pieces raise ContentDamaged and InternalError for events or texts that cannot be read."""
        await self._states.session(agent_id, session_id)
        until = self._store.head()
        own = _until(await self._store.stored_streams([stream_name("session", session_id)]), until)
        state, kept = self._folded(own)
        if state.parent:
            record = await read_record(self._store, self._states, agent_id, session_id)
            return self._fork(until_position(record, until), state, kept)
        own = [one for one in own if not one.name.startswith(FORK_NAMES)]
        own = [one._replace(version=version) for version, one in enumerate(own, 1)]
        agents = [stream_name("agent", agent_id)]
        turns = [stream_name("turn", turn_id) for turn_id in state.turns]
        names = {one.name for one in own} | await self._store.names_in([*agents, *turns])
        header = self._header(agent_id, session_id, state, kept)
        return self._pieces(replace(header, events=sorted(names)), agents, own, turns, until)

    async def record(self, agent_id: str, session_id: str) -> SessionRecord:
        """Returns all of the session at once, as one without a parent, for other forms of files. Raises NotFound."""
        return independent(await read_record(self._store, self._states, agent_id, session_id))

    def _header(self, agent_id: str, session_id: str, state: SessionState, kept: Kept) -> SessionFileHeader:
        return SessionFileHeader(
            format_version=FORMAT_VERSION,
            agent_id=agent_id,
            session_id=session_id,
            events=[],
            environment=self._environment,
            open_turn=state.open_turn,
            forked_from=state.parent or kept.forked_from,
            tolerance=kept.tolerance,
            redaction=kept.redaction,
        )

    async def _fork(self, record: SessionRecord, state: SessionState, kept: Kept) -> AsyncIterator[bytes]:
        """Yields the file of a fork, with the turns that it shares as its own. It is made at once. Raises ContentDamaged."""
        for events in (record.session, *record.agents.values(), *record.turns.values()):
            for one in events:
                if isinstance(one.event, Damaged):
                    raise ContentDamaged(one.event.detail)
                if isinstance(one.event, Unknown):
                    raise ContentDamaged(
                        "The fork holds events that this version of the server does not know. Export it with the version that "
                        "recorded them."
                    )
        header = self._header(record.agent_id, record.session_id, state, kept)
        file = SessionFile(header=header, record=independent(record), digest="")
        yield await asyncio.to_thread(lambda: b"".join(written(file)))

    async def _pieces(
        self,
        header: SessionFileHeader,
        agents: Sequence[str],
        own: Sequence[Record],
        turns: Sequence[str],
        until: int,
    ) -> AsyncIterator[bytes]:
        lines = Lines()
        blobs: dict[str, None] = {}
        yield lines.line(header)
        first = [*_until(await self._store.stored_streams(agents), until), *own]
        yield await asyncio.to_thread(_event_lines, lines, first, blobs)
        for start in range(0, len(turns), _TURNS):
            some = turns[start : start + _TURNS]
            stored = _until(await self._store.stored_streams(some), until)
            order = {stream: number for number, stream in enumerate(some)}
            stored.sort(key=lambda one: (order[one.stream], one.version))
            yield await asyncio.to_thread(_event_lines, lines, stored, blobs)
        for digest in blobs:
            content = await asyncio.to_thread(self._store.blob, digest)
            yield lines.line(SessionFileBlob(sha256=digest, content=content.decode()))
        yield lines.closing()

    def _folded(self, records: Sequence[Record]) -> tuple[SessionState, Kept]:
        """Returns the session, and what is kept of the header of the file from which it was imported."""
        state, kept = SessionState(), Kept()
        for one in records:
            event = self._codec.decode(one.name, _intact(one).state, self._store.hydrate)
            state = sessions.evolve(state, event, one.recorded_at, one.version)
            if isinstance(event, SessionImported) and event.format == SESSION:
                with suppress(msgspec.ValidationError):  # an event of a forged file
                    kept = msgspec.convert(event.extra or {}, Kept)
        return state, kept


def _until(records: Sequence[Record], position: int) -> list[Record]:
    return [one for one in records if one.position <= position]


def _intact(record: Record) -> Record:
    if record.state == REDACTED_STATE:
        raise NotFound("The session was deleted while it was exported.")
    if record.state == DAMAGED:
        raise event_damaged(record.position, record.stream, record.name, NOT_RECORDED)
    return record


def _event_lines(lines: Lines, records: Sequence[Record], blobs: dict[str, None]) -> bytes:
    """Returns the lines of these events; adds the blobs that they name to `blobs`."""
    return b"".join([lines.line(_event_line(_intact(one), blobs)) for one in records])


def _event_line(record: Record, blobs: dict[str, None]) -> SessionFileEvent:
    _, category, id = split_stream(record.stream)
    state, recorded_at = record.state, record.recorded_at
    if b'"occurred_at":' in state and (occurred_at := _time.decode(state).occurred_at):
        recorded_at = occurred_at
        fields = _fields.decode(state)
        del fields["occurred_at"]
        state = _encode(fields)
    for digest in digests_in(state):
        blobs[digest] = None
    return SessionFileEvent(
        stream=f"{category}/{id}",
        version=record.version,
        name=record.name,
        position=record.position,
        recorded_at=recorded_at,
        state=Raw(state),
    )


def turn_settings(settings: Settings) -> dict[str, Any]:
    """Returns the settings that influence a turn and that its events do not have."""
    return {"max_context_document_characters": settings.max_context_document_characters}
