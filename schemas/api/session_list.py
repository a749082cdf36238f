"""The sessions of all agents in one list (not part of the Llama Stack specification)."""

from __future__ import annotations

from msgspec import Struct

from schemas.api.turn import TurnStatus


class SessionSummary(Struct, frozen=True, omit_defaults=True):
    """A session without its turns. `status` is that of the last turn, absent without turns, as is `last_event_at`. The
    tokens are sums over its turns, absent if no model reported any. `first_words` is the beginning of its first message,
    at most 200 characters. `parent_session_id` is the session of which this one is a fork."""

    session_id: str
    agent_id: str
    session_name: str
    started_at: str
    turn_count: int
    status: TurnStatus | None = None
    last_event_at: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    first_words: str | None = None
    parent_session_id: str | None = None


class SessionList(Struct, frozen=True, omit_defaults=True):
    """`next` is the `before` of the page that follows; absent on the last one."""

    data: list[SessionSummary]
    next: int | None = None
