"""Recorded sessions: found by their id alone, exported to files and imported from them."""

from __future__ import annotations

from msgspec import Struct


class FoundSession(Struct, frozen=True):
    """A session, and the agent to which it belongs."""

    session_id: str
    session_name: str
    agent_id: str
