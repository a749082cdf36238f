"""The sessions of all agents, newest first."""

from __future__ import annotations

from typing import Any, get_args

from msgspec import Struct

from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import Reader, Row, rfc3339
from schemas.api.session_list import SessionList, SessionSummary
from schemas.api.turn import TurnStatus

READ_MODEL = ReadModel(name="session_list", queries=("sessions_newest", "sessions_turns"))

_STATUSES = frozenset(get_args(TurnStatus))


class Wanted(Struct, frozen=True, kw_only=True):
    """`is_active` orders by the last event and not by creation. `before` is the `next` of an earlier page. `words` and
    `agent_id` are empty for all sessions."""

    before: int
    limit: int
    is_active: bool = False
    agent_id: str = ""
    words: str = ""


def page(reader: Reader, wanted: Wanted) -> SessionList:
    rows = reader.read(
        "sessions_newest",
        {
            "before": wanted.before,
            "row_count": wanted.limit + 1,
            "is_active": wanted.is_active,
            "agent_id": wanted.agent_id,
            "words": wanted.words.lower(),
        },
    )
    shown = rows[: wanted.limit]
    found = reader.read("sessions_turns", {"session_ids": [row[0] for row in shown]}) if shown else []
    turns = {session_id: rest for session_id, *rest in found}
    data = [_summary(row, turns.get(row[0])) for row in shown]
    return SessionList(data, shown[-1][-1] if len(rows) > wanted.limit else None)


def _summary(row: Row, turns: list[Any] | None) -> SessionSummary:
    session_id, agent_id, name, parent, started_us, _ = row
    count, change, input_tokens, output_tokens, last_us, words = turns or (0, None, None, None, None, None)
    return SessionSummary(
        session_id=session_id,
        agent_id=agent_id,
        session_name=name,
        started_at=rfc3339(started_us),
        turn_count=count,
        status=None if change is None else change if change in _STATUSES else "running",
        last_event_at=None if last_us is None else rfc3339(last_us),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        first_words=words,
        parent_session_id=parent or None,
    )
