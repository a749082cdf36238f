"""Reads agents from their streams, where the read model lacks events of them because these are damaged."""

from __future__ import annotations

from collections.abc import Sequence

from projections import agent as agent_views
from projections import wire
from projections.agent import AgentView
from projections.warehouse.reader import rfc3339
from schemas.api.agent import Agent, AgentVersion
from schemas.events.agent import AgentCreated, AgentDeleted, AgentUpdated
from schemas.events.base import Damaged
from stack.domain import agent as agents
from stack.errors import ContentDamaged
from stack.eventstore import EventStore, Recorded, split_stream, stream_name
from stack.services.views import Views


class AgentRecords:
    def __init__(self, store: EventStore, views: Views) -> None:
        self._store = store
        self._views = views

    def is_incomplete(self, agent_id: str) -> bool:
        """Returns whether the read model lacks events of the agent."""
        return stream_name("agent", agent_id) in self._views.failed_streams()

    async def unreadable(self, as_of: int | None) -> Sequence[str]:
        """Returns the ids of agents whose newest configuration is damaged."""
        failed = self._views.failed_streams()
        streams = [stream for stream in failed if split_stream(stream)[1] == "agent"]
        return [
            split_stream(stream)[2]
            for stream, recorded in (await self._store.read_streams(streams)).items()
            if (versions := _versions_in(recorded, as_of)) and isinstance(versions[-1].event, Damaged)
        ]

    async def show(self, agent_id: str, version: int, as_of: int | None) -> AgentView:
        """Like `AgentService.show`."""
        versions = await self._versions(agent_id, as_of)
        if not versions:
            raise agents.unknown(agent_id)
        found = next((one for one in reversed(versions) if version in (0, one.version)), None)
        if found is None:
            raise agents.no_version(agent_id, version, versions[-1].version)
        if not isinstance(found.event, AgentCreated | AgentUpdated):
            assert isinstance(found.event, Damaged)
            raise ContentDamaged(
                f"Version {found.version} of agent {agent_id!r} cannot be read. {found.event.detail}"
            )
        created_at = rfc3339(versions[0].recorded_at)
        return AgentView(Agent(agent_id, wire.agent_config(found.event.config), created_at), found.version)

    async def versions(
        self, agent_id: str, start_index: int, limit: int | None, as_of: int | None
    ) -> tuple[list[AgentVersion], bool]:
        """Like `AgentService.versions`. Damaged versions are left out."""
        made = [
            agent_views.made_version(version, recorded_us, event.config, event.actor)
            for _, version, recorded_us, event in await self._versions(agent_id, as_of)
            if isinstance(event, AgentCreated | AgentUpdated)
        ]
        end = len(made) if limit is None else start_index + limit
        return made[start_index:end], end < len(made)

    async def _versions(self, agent_id: str, as_of: int | None) -> Sequence[Recorded]:
        stream = stream_name("agent", agent_id)
        return _versions_in((await self._store.read_streams((stream,)))[stream], as_of)


def _versions_in(recorded: Sequence[Recorded], as_of: int | None) -> Sequence[Recorded]:
    """Returns the events that made versions of an agent, and `Damaged` for those that cannot be read, up to
    the position `as_of`; none if the agent was deleted."""
    versions = []
    for one in recorded:
        match one.event:
            case AgentCreated() | AgentUpdated() | Damaged(name="agent.created" | "agent.updated"):
                if as_of is None or one.position <= as_of:
                    versions.append(one)
            case AgentDeleted() | Damaged(name="agent.deleted"):
                return ()
    return versions
