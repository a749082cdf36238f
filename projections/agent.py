"""Agents that exist, in the order of creation."""

from __future__ import annotations

from msgspec.json import Decoder

from projections.plan import ReadModel
from projections.reader import NOW, Reader, Row, rfc3339, window
from schemas.api.agent import Agent, AgentConfig

READ_MODEL = ReadModel(
    name="agent",
    tables=("agents", "agent_deletions"),
    indexes=("agents_by_id",),
    apply=("agent_created", "agent_deletion", "agent_deleted"),
    queries=("agent_by_id", "agents_page"),
)

_config = Decoder(AgentConfig)


def get(reader: Reader, agent_id: str, as_of: int | None = None) -> Agent | None:
    """The agent, or None when it is unknown or deleted. `as_of` is a position of the log (None: now)."""
    rows = reader.read("agent_by_id", {"agent_id": agent_id, "as_of": NOW if as_of is None else as_of})
    return _agent(reader, rows[0]) if rows else None


def page(
    reader: Reader, start_index: int = 0, limit: int | None = None, as_of: int | None = None
) -> tuple[list[Agent], bool]:
    """Agents from `start_index` on, at most `limit` (None: all), and whether more follow."""
    offset, row_count = window(start_index, limit)
    rows = reader.read(
        "agents_page",
        {"start_index": offset, "row_count": row_count, "as_of": NOW if as_of is None else as_of},
    )
    return [_agent(reader, row) for row in rows[:limit]], limit is not None and len(rows) > limit


def _agent(reader: Reader, row: Row) -> Agent:
    agent_id, config, created_us = row
    return Agent(agent_id, _config.decode(reader.hydrate(config.encode())), rfc3339(created_us))
