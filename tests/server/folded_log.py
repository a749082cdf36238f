"""Sessions and turns as the log's file has them, folded by the domain alone: what every view must equal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from schemas.events.base import Event
from schemas.events.turn import TurnStepCompleted, TurnStepFailed
from stack.domain import session as sessions
from stack.domain import turn as turns
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.eventstore.codec import Codec
from stack.services.turns.turn_frames import outcome_wire, turn_wire

_CODEC = Codec()


class FoldedLog:
    """Reads the log of a running server, or of one that is down, directly. Events hold no blobs here."""

    def __init__(self, data: Path) -> None:
        self._path = f"file:{data / 'events.sqlite'}?mode=ro"

    def session(self, session_id: str) -> SessionState:
        state = SessionState()
        for event, recorded_at, version in self._events(f"session/{session_id}"):
            state = sessions.evolve(state, event, recorded_at, version)
        return state

    def turn(self, turn_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The turn and its outcome, as JSON."""
        state = TurnState()
        for event, recorded_at, version in self._events(f"turn/{turn_id}"):
            state = turns.evolve(state, event, recorded_at, version)
        return _json(turn_wire(turn_id, state)), _json(outcome_wire(state))

    def reasoning(self, turn_id: str) -> list[str]:
        """Returns the model's reasoning in each inference of a turn that has ended, from its event."""
        events = [event for event, *_ in self._events(f"turn/{turn_id}")]
        return [event.reasoning for event in events if isinstance(event, TurnStepCompleted | TurnStepFailed)]

    def names(self, turn_id: str) -> list[str]:
        """The names of a turn's events, in order."""
        return [name for name, *_ in self._rows(f"turn/{turn_id}")]

    def _events(self, stream: str) -> list[tuple[Event, int, int]]:
        return [
            (_CODEC.decode(name, state, lambda same: same), recorded_at, version)
            for name, state, recorded_at, version in self._rows(stream)
        ]

    def _rows(self, stream: str) -> list[tuple[str, bytes, int, int]]:
        with closing(sqlite3.connect(self._path, uri=True)) as log:
            rows = log.execute(
                "SELECT name, state, recorded_at, version FROM events WHERE stream = ? ORDER BY version",
                (f"default/{stream}",),
            ).fetchall()
        assert [row[3] for row in rows] == list(range(1, len(rows) + 1)), "versions without a gap"
        return rows


def _json(value: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return decoded
