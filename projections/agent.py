"""Existing agents, in the order of creation."""

from __future__ import annotations

from msgspec.json import Decoder

from projections import wire
from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import NOW, PAGE_BYTES, Reader, Row, page_of, rfc3339
from schemas.api.agent import Agent
from schemas.events.payload import AgentConfig

READ_MODEL = ReadModel(
    name="agent",
    tables=("agents", "agent_deletions"),
    indexes=("agents_by_id",),
    apply=("agent_created", "agent_deletion", "agent_deleted"),
    queries=("agent_by_id", "agents_page"),
)

_AGENT_BYTES = 128
"""Estimated size of an agent without its configuration, in bytes."""
_config = Decoder(AgentConfig)


def get(reader: Reader, agent_id: str, as_of: int | None = None) -> Agent | None:
    """Returns the agent, or None if it is unknown or deleted. `as_of` is a position of the log (None:
    now)."""
    rows = reader.read("agent_by_id", {"agent_id": agent_id, "as_of": NOW if as_of is None else as_of})
    return _agent(reader, rows[0]) if rows else None


def page(
    reader: Reader,
    start_index: int = 0,
    limit: int | None = None,
    as_of: int | None = None,
    max_bytes: int = PAGE_BYTES,
) -> tuple[list[Agent], bool]:
    """Returns agents from `start_index` on, at most `limit` (None: all) and `max_bytes`, and whether more
    follow."""

    def fetch(offset: int, row_count: int, after: int) -> list[Row]:
        params = {"start_index": offset, "row_count": row_count, "after": after}
        return reader.read("agents_page", params | {"as_of": NOW if as_of is None else as_of})

    return page_of(fetch, lambda row: _sized(reader, row[:3]), start_index, limit, max_bytes)


def _agent(reader: Reader, row: Row) -> Agent:
    return _sized(reader, row)[0]


def _sized(reader: Reader, row: Row) -> tuple[Agent, int]:
    agent_id, config, created_us = row
    content = reader.hydrate(config.encode())
    agent = Agent(agent_id, wire.agent_config(_config.decode(content)), rfc3339(created_us))
    return agent, len(content) + _AGENT_BYTES
