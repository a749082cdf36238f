"""The frames of all turns of a session in one answer (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.api.turn import TurnStatus


class FramesTurn(Struct, frozen=True, omit_defaults=True):
    """A turn whose frames are on a page. `turn` counts the turns of the session from 1. `damage` says which of its events
    cannot be read: it is shown as far as the others allow."""

    turn: int
    turn_id: str
    status: TurnStatus
    started_at: str | None = None
    damage: list[str] | None = None


class SessionFramesPage(Struct, frozen=True):
    """`data` has a row `[turn, at_ms, id, frame]` for each frame: the number of its turn, the milliseconds since the
    start of that turn, its id in the stream of the turn, and its data as it was sent. `next` is where to continue:
    `<turn>.<id>` of the last row. `has_more` says whether frames after it are there now."""

    data: list[list[Any]]
    turns: list[FramesTurn]
    next: str
    has_more: bool
