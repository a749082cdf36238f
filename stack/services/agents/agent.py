"""Creates and deletes agents. Reads use the read model."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from projections import agent as agent_views
from projections import session as session_views
from schemas.api.agent import Agent
from schemas.api.agent import AgentConfig as RequestedConfig
from schemas.events.agent import AgentDeleted
from schemas.events.base import Erased
from schemas.events.payload import AgentConfig
from stack.domain import agent as agents
from stack.errors import Invalid, NotFound, TooLarge
from stack.eventstore import Append, EventStore, StreamWrite, stream_name
from stack.providers.tools.registry import ToolGroups
from stack.services.agents.session import SessionService
from stack.services.effects import new_id
from stack.services.requests.caller import SYSTEM, Caller
from stack.services.state import States
from stack.services.views import Views

_encode = msgspec.json.Encoder().encode


class AgentService:
    def __init__(
        self,
        store: EventStore,
        states: States,
        views: Views,
        sessions: SessionService,
        toolgroups: ToolGroups,
        shields: Collection[str] = (),
        max_bytes: int = 2**20,
    ) -> None:
        self._store = store
        self._states = states
        self._views = views
        self._sessions = sessions
        self._toolgroups = toolgroups
        self._shields = shields
        self._max_bytes = max_bytes

    async def create(self, config: RequestedConfig, caller: Caller, command: str) -> str:
        """Returns the new agent's id. Raises Invalid, TooLarge."""
        self._check_size(config, "agent_config")
        self._check_args(config, "agent_config")
        agent_id = new_id()
        events = caller.stamp(agents.create(config, self._toolgroups.groups, self._shields))
        await self._store.append(
            Append((StreamWrite(stream_name("agent", agent_id), 0, events),), command=command)
        )
        return agent_id

    def normalised(self, config: RequestedConfig, where: str) -> AgentConfig:
        """Returns the configuration as `create` would record it, for an agent that is part of something
        larger. `where` is its place in the request. Raises Invalid, TooLarge."""
        self._check_size(config, where)
        self._check_args(config, where)
        return agents.normalise(config, self._toolgroups.groups, self._shields, where)

    def _check_args(self, config: RequestedConfig, where: str) -> None:
        for index, tool in enumerate(config.toolgroups or ()):
            if not isinstance(tool, str):
                try:
                    self._toolgroups.check_args(tool.name, tool.args)
                except Invalid as error:
                    raise Invalid(f"{where}.toolgroups[{index}]: {error.detail}") from None

    def _check_size(self, config: RequestedConfig, where: str) -> None:
        size = len(_encode(config))
        if size > self._max_bytes:
            raise TooLarge(
                f"{where} has {size} bytes; at most {self._max_bytes} are accepted. Send long texts as documents of a turn, "
                "or raise max_agent_bytes."
            )

    async def show(self, agent_id: str) -> Agent:
        """Returns the agent. Raises NotFound, and ContentDamaged."""
        agent = await self._views.read(("agent",), agent_views.get, agent_id)
        if agent is None:
            await self._states.agent(agent_id)
            raise NotFound(f"There is no agent {agent_id!r}. List the agents to see their ids.")
        return agent

    async def delete(self, agent_id: str, caller: Caller) -> None:
        """Deletes the agent, then its sessions: after its deletion nothing new can be started under it."""
        version = await self._states.agent_version(agent_id)
        stream = stream_name("agent", agent_id)
        events, blobs = await self._store.held_by((stream,))
        deleted = AgentDeleted(erased=Erased(events=events, blobs=blobs))
        write = StreamWrite(stream, version, caller.stamp([deleted]))
        await self._store.append(Append((write,), redact=(stream,)))
        await self._delete_sessions(agent_id, caller)

    async def _delete_sessions(self, agent_id: str, caller: Caller) -> None:
        found = await self._views.read(("agent", "session"), session_views.ids_of_agent, agent_id)
        if self._views.failed_streams():
            found += await self._views.read(("session", "turn"), session_views.ids_by_turns, agent_id)
        for session_id in dict.fromkeys(found):
            try:
                await self._sessions.delete(agent_id, session_id, caller)
            except NotFound:
                continue

    async def finish_deletes(self) -> None:
        """Called after a crash: deletes the remaining sessions of deleted agents."""
        for agent_id in await self._views.read(("agent", "session"), session_views.agents_with_orphans):
            await self._delete_sessions(agent_id, SYSTEM)
