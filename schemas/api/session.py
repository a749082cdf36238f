"""Sessions: one conversation with an agent (spec tag: Agents)."""

from __future__ import annotations

from msgspec import Struct

from schemas.api.turn import Turn


class CreateAgentSessionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    session_name: str


class AgentSessionCreateResponse(Struct, frozen=True):
    session_id: str


class Session(Struct, frozen=True):
    session_id: str
    session_name: str
    turns: list[Turn]
    started_at: str
