"""Finds the session of an open turn: only its first event says so, and every row of the turn needs it.

Kept in memory with a build and not joined in SQL, where it would cost 3 ms of CPU in each flush. Holds the open
turns only, so it is bounded by the sessions that exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from projections.warehouse.feed import Record, unversioned
from projections.warehouse.reader import Row

_STARTED = "turn.started"
_ENDS = frozenset(("turn.completed", "turn.failed", "turn.cancelled", "turn.abandoned"))
_DELETED = "session.deleted"


class _Started(Struct, frozen=True):
    session_id: str


_started = Decoder(_Started)


class TurnSessions:
    """The resolver of turns."""

    column: ClassVar[str] = "session_id"
    query: ClassVar[str] = "open_turns"

    def __init__(self) -> None:
        self._session_of: dict[str, str] = {}

    def restore(self, rows: Iterable[Row]) -> None:
        self._session_of = {turn_id: session_id for turn_id, session_id, *_ in rows}

    def resolve(self, record: Record) -> tuple[bool, str | None]:
        """An event of a turn that is not open is not applied: its start was redacted, or it came after its session was
        deleted. A start that cannot be read is, so that it fails where failures are recorded."""
        name = unversioned(record.name)
        if name == _DELETED:
            self._forget_session(record.stream.rpartition("/")[2])
            return True, None
        if not name.startswith("turn."):
            return True, None
        turn_id = record.stream.split("/", 2)[-1]
        if name == _STARTED:
            try:
                session_id = _started.decode(record.state).session_id
            except DecodeError:
                return True, None
            self._session_of[turn_id] = session_id
            return True, session_id
        known = self._session_of.pop(turn_id, None) if name in _ENDS else self._session_of.get(turn_id)
        return known is not None, known

    def _forget_session(self, session_id: str) -> None:
        for turn_id in [turn for turn, session in self._session_of.items() if session == session_id]:
            del self._session_of[turn_id]
