"""Finds what the rows of an open turn need and only earlier events of it contain: its session, and of a step that ends
the agent and the model.

It is kept in memory with a build instead of joined in SQL, which would cost 3 ms of CPU in each flush, and a query over
all inferences half a second. It holds only open turns, so its size is bounded by the number of existing sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from projections.warehouse.reader import Row
from projections.warehouse.resolver import Values

_STARTED = "turn.started"
_STEP_STARTED = "turn.step_started"
_STEP_ENDS = frozenset(("turn.step_completed", "turn.step_failed"))
_ENDS = frozenset(("turn.completed", "turn.failed", "turn.cancelled", "turn.abandoned"))
_DELETED = "session.deleted"
_SETTLED = "turn.effect_settled"
_OF_NO_TURN: Values = (None, None, None, None)
_Resolved = tuple[bool, Values]


class _Started(Struct, frozen=True):
    session_id: str
    agent_id: str | None = None
    agent_version: int = 1


class _Step(Struct, frozen=True):
    step_id: str
    model: str = ""


class _OpenTurn(Struct):
    """`models` are those of inferences that have not ended, by step."""

    session_id: str
    agent_id: str | None
    agent_version: str
    models: dict[str, str] = {}


_started = Decoder(_Started)
_step = Decoder(_Step)


class TurnSessions:
    """The resolver of turns."""

    columns: ClassVar[tuple[str, ...]] = ("session_id", "turn_agent_id", "turn_agent_version", "step_model")
    query: ClassVar[str] = "open_turns"

    def __init__(self) -> None:
        self._open: dict[str | None, _OpenTurn] = {}

    def restore(self, rows: Iterable[Row]) -> None:
        self._open = {row[0]: _restored(row) for row in rows}

    def resolve(self, name: str, id: str | None, state: bytes) -> _Resolved:
        """Events of a turn that is not open are not applied: its first event was redacted, or they arrived
        after its session was deleted. An unreadable first event is applied, so that it fails where failures
        are recorded."""
        if not name.startswith("turn."):
            if name == _DELETED:
                self._forget_session(id)
            return True, _OF_NO_TURN
        if name == _STARTED:
            try:
                started = _started.decode(state)
            except DecodeError:
                return True, _OF_NO_TURN
            self._open[id] = _OpenTurn(started.session_id, started.agent_id, str(started.agent_version or 1))
            return True, (started.session_id, None, None, None)
        if name == _SETTLED:
            # It may follow the end of its turn. Its own content is gone with the session's.
            try:
                return True, (_started.decode(state).session_id, None, None, None)
            except DecodeError:
                return False, _OF_NO_TURN
        turn = self._open.pop(id, None) if name in _ENDS else self._open.get(id)
        if turn is None:
            return False, _OF_NO_TURN
        # Most steps are not decoded: only those of inferences have a model.
        if name == _STEP_STARTED and b'"model":' in state:
            if (step := _step_of(state)) is not None and step.model:
                turn.models[step.step_id] = step.model
        elif turn.models and name in _STEP_ENDS and (step := _step_of(state)) is not None:
            model = turn.models.pop(step.step_id, None)
            if model is not None:
                return True, (turn.session_id, turn.agent_id, turn.agent_version, model)
        return True, (turn.session_id, None, None, None)

    def _forget_session(self, session_id: str | None) -> None:
        for turn_id in [id for id, turn in self._open.items() if turn.session_id == session_id]:
            del self._open[turn_id]


def _step_of(state: bytes) -> _Step | None:
    try:
        return _step.decode(state)
    except DecodeError:
        return None


def _restored(row: Row) -> _OpenTurn:
    """Returns the turn of a row of `open_turns`. That of an older release has neither versions nor steps."""
    _, session_id, agent_id, _, _, _, _, _, *more = row
    version, steps = more or (None, None)
    return _OpenTurn(session_id, agent_id, str(version or 1), dict(steps or ()))
