"""Recorded sessions: found by their id alone, exported to files and imported from them."""

from __future__ import annotations

from msgspec import Struct


class FoundSession(Struct, frozen=True):
    """A session, and the agent to which it belongs."""

    session_id: str
    session_name: str
    agent_id: str


class ImportedSession(Struct, frozen=True, omit_defaults=True):
    """A session that was imported, with the number of its turns. `cancelled_turns` are the ids of those that were running
    when it was exported. `others` are further sessions of the same file: those of subagents, or of other conversations."""

    agent_id: str
    session_id: str
    turns: int
    cancelled_turns: list[str]
    others: list[ImportedSession] = []


class RedactionRules(Struct, frozen=True, forbid_unknown_fields=True):
    """The values to replace in an exported session: the names of built-in patterns (or `all`), patterns (RE2) by name, and JSON
    paths by name."""

    builtin: list[str] = []
    patterns: dict[str, str] = {}
    paths: dict[str, str | list[str]] = {}
