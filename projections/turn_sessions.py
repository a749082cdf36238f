"""Finds the session of an open turn: only its first event contains it, and every row of the turn needs it.

It is kept in memory with a build instead of joined in SQL, which would cost 3 ms of CPU in each flush. It
holds only open turns, so its size is bounded by the number of existing sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from projections.warehouse.reader import Row

_STARTED = "turn.started"
_ENDS = frozenset(("turn.completed", "turn.failed", "turn.cancelled", "turn.abandoned"))
_DELETED = "session.deleted"
_SETTLED = "turn.effect_settled"
_OF_NO_TURN = (True, None)


class _Started(Struct, frozen=True):
    session_id: str


_started = Decoder(_Started)


class TurnSessions:
    """The resolver of turns."""

    column: ClassVar[str] = "session_id"
    query: ClassVar[str] = "open_turns"

    def __init__(self) -> None:
        self._session_of: dict[str | None, str] = {}

    def restore(self, rows: Iterable[Row]) -> None:
        self._session_of = {turn_id: session_id for turn_id, session_id, *_ in rows}

    def resolve(self, name: str, id: str | None, state: bytes) -> tuple[bool, str | None]:
        """Events of a turn that is not open are not applied: its first event was redacted, or they arrived
        after its session was deleted. An unreadable first event is applied, so that it fails where failures
        are recorded."""
        if not name.startswith("turn."):
            if name == _DELETED:
                self._forget_session(id)
            return _OF_NO_TURN
        if name == _STARTED:
            try:
                session_id = _started.decode(state).session_id
            except DecodeError:
                return _OF_NO_TURN
            self._session_of[id] = session_id
            return True, session_id
        if name == _SETTLED:
            # It may follow the end of its turn. Its own content is gone with the session's.
            try:
                return True, _started.decode(state).session_id
            except DecodeError:
                return False, None
        known = self._session_of.pop(id, None) if name in _ENDS else self._session_of.get(id)
        return known is not None, known

    def _forget_session(self, session_id: str | None) -> None:
        for turn_id in [turn for turn, session in self._session_of.items() if session == session_id]:
            del self._session_of[turn_id]
