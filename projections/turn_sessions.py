"""Which session an open turn belongs to: only its first event says so, and every row of the turn needs it.

Kept in memory with a build and not joined in SQL, where it would cost 3 ms of CPU in each flush. Holds the open
turns only, so it is bounded by the sessions that exist.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from projections.warehouse.feed import Record, unversioned

_STARTED = "turn.started"
_ENDS = frozenset(("turn.completed", "turn.failed", "turn.cancelled", "turn.abandoned"))
_DELETED = "session.deleted"


class _Started(Struct, frozen=True):
    session_id: str


_started = Decoder(_Started)


class TurnSessions:
    """Follows the records in order. One build, one thread."""

    def __init__(self) -> None:
        self._session_of: dict[str, str] = {}

    def restore(self, open_turns: Iterable[tuple[str, str]]) -> None:
        """Begins with these turns and their sessions."""
        self._session_of = dict(open_turns)

    def session_of(self, record: Record) -> tuple[bool, str | None]:
        """Whether the record counts, and the session of the turn whose event it is.

        An event of a turn that is not open does not count: its start was redacted, or it came after its session
        was deleted. A start that cannot be read does, so that it fails where failures are written down.
        """
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
