"""Creates, updates and deletes agents. Reads use the read model."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from weakref import WeakValueDictionary

import msgspec

from projections import agent as agent_views
from projections import session as session_views
from projections.agent import AgentView
from schemas.api.agent import Agent, AgentVersion, UpdateAgentRequest
from schemas.api.agent import AgentConfig as RequestedConfig
from schemas.events.agent import AgentDeleted
from schemas.events.base import Erased
from schemas.events.payload import AgentConfig
from stack.domain import agent as agents
from stack.errors import Conflict, Invalid, NotFound, TooLarge, VersionConflict
from stack.eventstore import Append, EventStore, StreamWrite, stream_name
from stack.providers.tools.registry import ToolGroups
from stack.services.agents.agent_record import AgentRecords
from stack.services.agents.session import SessionService
from stack.services.effects import new_id
from stack.services.requests.caller import SYSTEM, Caller
from stack.services.state import States
from stack.services.views import Views

ATTEMPTS = 10

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
        self._records = AgentRecords(store, views)
        # Updates of one agent come one after the other: each decides from the version before.
        self._updates: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

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

    async def update(self, agent_id: str, request: UpdateAgentRequest, caller: Caller, command: str) -> int:
        """Records the next version of the agent's configuration. Returns its number; that of the present version if
        nothing changes. Raises NotFound, Invalid, TooLarge, and Conflict if the agent has not the expected version."""
        await self._states.agent_version(agent_id)
        config = self.normalised(request.agent_config, "agent_config")
        async with self._updates.setdefault(agent_id, asyncio.Lock()):
            for _ in range(ATTEMPTS):
                state, version = await self._states.agent_state(agent_id)
                agents.check_expected(agent_id, request.expected_version, version)
                events = agents.update(state, agent_id, config)
                if not events:
                    return version
                write = StreamWrite(stream_name("agent", agent_id), version, caller.stamp(events))
                try:
                    await self._store.append(Append((write,), command=command))
                except VersionConflict:
                    continue
                return version + 1
        raise Conflict(f"Agent {agent_id!r} is busy with other requests. Try again.")

    async def version_recorded_at(self, agent_id: str, position: int) -> int:
        """Returns the version that was recorded at this position of the log."""
        stream = stream_name("agent", agent_id)
        recorded = (await self._store.read_streams((stream,)))[stream]
        return next(one.version for one in recorded if one.position == position)

    async def page(
        self, start_index: int, limit: int | None, max_bytes: int, as_of: int | None = None
    ) -> tuple[list[Agent], bool]:
        """Returns agents from `start_index` on, at most `limit` (None: all) and `max_bytes`, and whether more follow.
        Agents with a damaged configuration are left out."""
        unreadable = await self._records.unreadable(as_of)
        return await self._views.read(
            ("agent",),
            agent_views.page,
            start_index,
            limit,
            as_of,
            max_bytes,
            unreadable,
        )

    async def show(self, agent_id: str, version: int = 0, as_of: int | None = None) -> AgentView:
        """Returns the agent in this version (0: the newest). Raises NotFound, and ContentDamaged."""
        if self._records.is_incomplete(agent_id):
            return await self._records.show(agent_id, version, as_of)
        view = await self._views.read(("agent",), agent_views.get, agent_id, version, as_of)
        if view is None:
            newest = await self._states.agent_version(agent_id, as_of)
            raise agents.no_version(agent_id, version, newest) if version else agents.unknown(agent_id)
        return view

    async def versions(
        self, agent_id: str, start_index: int, limit: int | None, max_bytes: int, as_of: int | None = None
    ) -> tuple[list[AgentVersion], bool]:
        """Like `page`, for the versions of an agent, oldest first. Raises NotFound."""
        await self._states.agent_version(agent_id, as_of)
        if self._records.is_incomplete(agent_id):
            return await self._records.versions(agent_id, start_index, limit, as_of)
        return await self._views.read(
            ("agent",), agent_views.versions_page, agent_id, start_index, limit, as_of, max_bytes
        )

    async def delete(self, agent_id: str, caller: Caller) -> None:
        """Deletes the agent, then its sessions: after its deletion nothing new can be started under it."""
        stream = stream_name("agent", agent_id)
        for _ in range(ATTEMPTS):
            version = await self._states.agent_version(agent_id)
            events, blobs = await self._store.held_by((stream,))
            deleted = AgentDeleted(erased=Erased(events=events, blobs=blobs))
            write = StreamWrite(stream, version, caller.stamp([deleted]))
            try:
                await self._store.append(Append((write,), redact=(stream,)))
            except VersionConflict:
                continue
            await self._delete_sessions(agent_id, caller)
            return
        raise Conflict(f"Agent {agent_id!r} is busy: it is updated again and again. Try again.")

    async def _delete_sessions(self, agent_id: str, caller: Caller) -> None:
        found = await self._views.read(("agent", "session"), session_views.ids_of_agent, agent_id)
        if self._views.failed_streams():
            found += await self._views.read(("session", "turn"), session_views.ids_by_turns, agent_id)
        # Forks before their parents, which keep the turns that they share: then no fork is compared with all others.
        for session_id in dict.fromkeys(reversed(found)):
            try:
                await self._sessions.delete(agent_id, session_id, caller)
            except NotFound:
                continue

    async def finish_deletes(self) -> None:
        """Called after a crash: deletes the remaining sessions of deleted agents."""
        for agent_id in await self._views.read(("agent", "session"), session_views.agents_with_orphans):
            await self._delete_sessions(agent_id, SYSTEM)
