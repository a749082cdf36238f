"""The sessions of a turn: the one that recorded it, and forks that share it."""

from __future__ import annotations

from stack.domain.turn import TurnState
from stack.errors import Conflict, NotFound


def unknown(session_id: str, turn_id: str) -> NotFound:
    return NotFound(f"There is no turn {turn_id!r} in session {session_id!r}.")


def existing(state: TurnState, session_id: str, turn_id: str) -> TurnState:
    """Returns a turn of the session. Raises NotFound if it never existed, was redacted, or has a damaged start and its ids
    were not filled in."""
    if not state.started_at or not state.session_id:
        raise unknown(session_id, turn_id)
    return state


def check_recorded_in(state: TurnState, session_id: str) -> None:
    """Raises Conflict if another session recorded the turn and this one only shares it: then it cannot be changed here."""
    if state.session_id != session_id:
        raise Conflict(
            f"The turn belongs to session {state.session_id!r}, with which this session shares it. Only there it can be "
            "resumed, decided or cancelled."
        )
