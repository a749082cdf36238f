"""Existing agents, in the order of creation, and the versions of their configurations."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.json import Decoder

from projections import wire
from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import NOW, PAGE_BYTES, Reader, Row, page_of, rfc3339
from schemas.api.agent import Agent, AgentVersion
from schemas.events.payload import AgentConfig

READ_MODEL = ReadModel(
    name="agent",
    tables=("agent_changes", "agent_deletions"),
    indexes=("agent_changes_by_agent",),
    views=("agents",),
    apply=("agent_changes", "agent_deletion", "agent_deleted"),
    queries=("agent_by_id", "agents_page", "agents_newest", "agent_versions_page"),
)

_AGENT_BYTES = 128
"""Estimated size of an agent without its configuration, in bytes."""
_config = Decoder(AgentConfig)


class AgentView(Struct, frozen=True):
    """An agent with the configuration that it has in a version."""

    agent: Agent
    version: int


def get(reader: Reader, agent_id: str, version: int = 0, as_of: int | None = None) -> AgentView | None:
    """Returns the agent in this version (0: the newest), or None if it is unknown or deleted, or has no such version.
    `as_of` is a position of the log (None: now)."""
    params = {"agent_id": agent_id, "version": version, "as_of": NOW if as_of is None else as_of}
    [(config, found, created_us)] = reader.read("agent_by_id", params)
    if found is None:
        return None
    return AgentView(_sized(reader, agent_id, config, created_us)[0], found)


def page(
    reader: Reader,
    start_index: int = 0,
    limit: int | None = None,
    as_of: int | None = None,
    max_bytes: int = PAGE_BYTES,
    unreadable: Sequence[str] = (),
) -> tuple[list[Agent], bool]:
    """Returns agents from `start_index` on, at most `limit` (None: all) and `max_bytes`, and whether more
    follow. `unreadable` are ids of agents that are left out."""
    until = NOW if as_of is None else as_of
    newest: dict[str, str] = {}

    def fetch(offset: int, row_count: int, after: int) -> list[Row]:
        params = {"start_index": offset, "row_count": row_count, "after": after, "as_of": until}
        rows = reader.read("agents_page", params | {"unreadable": list(unreadable)})
        if rows and rows[0][3]:
            ids = [row[0] for row in rows]
            newest.update(reader.read("agents_newest", {"agent_ids": ids, "as_of": until}))
        return rows

    def make(row: Row) -> tuple[Agent, int]:
        agent_id, config, created_us, _, _ = row
        return _sized(reader, agent_id, newest.pop(agent_id, config), created_us)

    return page_of(fetch, make, start_index, limit, max_bytes)


def versions_page(
    reader: Reader,
    agent_id: str,
    start_index: int = 0,
    limit: int | None = None,
    as_of: int | None = None,
    max_bytes: int = PAGE_BYTES,
) -> tuple[list[AgentVersion], bool]:
    """Like `page`, for the versions of an agent, oldest first; there are none if it is unknown or deleted."""
    fixed = {"agent_id": agent_id, "as_of": NOW if as_of is None else as_of}

    def fetch(offset: int, row_count: int, after: int) -> list[Row]:
        params = {"start_index": offset, "row_count": row_count, "after": after}
        return reader.read("agent_versions_page", params | fixed)

    def make(row: Row) -> tuple[AgentVersion, int]:
        version, config, recorded_us, actor, _ = row
        content = reader.hydrate(config.encode())
        decoded = _config.decode(content)
        return made_version(version, recorded_us, decoded, actor or ""), len(content) + _AGENT_BYTES

    return page_of(fetch, make, start_index, limit, max_bytes)


def made_version(version: int, recorded_us: int, config: AgentConfig, actor: str) -> AgentVersion:
    """Returns a version in the form of the API."""
    return AgentVersion(
        version=version,
        created_at=rfc3339(recorded_us),
        agent_config=wire.agent_config(config),
        actor=actor,
    )


def _sized(reader: Reader, agent_id: str, config: str, created_us: int) -> tuple[Agent, int]:
    content = reader.hydrate(config.encode())
    agent = Agent(agent_id, wire.agent_config(_config.decode(content)), rfc3339(created_us))
    return agent, len(content) + _AGENT_BYTES
