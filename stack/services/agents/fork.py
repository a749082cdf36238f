"""Forks sessions. A fork shares the turns before its point with its parent: it refers to them and copies nothing. Only a
turn in the middle of which a session is forked is copied, up to that point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.api.session import ForkSessionRequest
from schemas.events.base import Event
from schemas.events.payload import AgentConfig
from schemas.events.session import CopiedTurn, SessionForkAdded, SessionForked
from stack.domain import fork as forks
from stack.domain import session as sessions
from stack.domain.fork import Copied, Target
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.errors import Conflict, Invalid, NotFound, VersionConflict
from stack.eventstore import (
    Append,
    Appended,
    EventStore,
    Expect,
    Folded,
    StreamWrite,
    split_stream,
    stream_name,
)
from stack.providers.inference.registry import Models
from stack.services.agents.family import Families
from stack.services.agents.fork_point import ForkPoint, ForkPoints
from stack.services.effects import Effects
from stack.services.requests.caller import Caller
from stack.services.state import States
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn_driver import TurnDriver
from stack.services.turns.turn_plan import check_capabilities

ATTEMPTS = 10


class _Agent(NamedTuple):
    """The agent of the new session, at the version of its stream."""

    id: str
    version: int


class ForkService:
    def __init__(
        self,
        store: EventStore,
        states: States,
        points: ForkPoints,
        families: Families,
        models: Models,
        driver: TurnDriver,
        effects: Effects,
    ) -> None:
        self._store = store
        self._states = states
        self._points = points
        self._families = families
        self._models = models
        self._driver = driver
        self._effects = effects

    async def fork(
        self, agent_id: str, session_id: str, request: ForkSessionRequest, caller: Caller, command: str
    ) -> str:
        """Returns the new session's id. A turn in the middle of which it is forked awaits input if it did so at that point;
        otherwise it is cancelled, or with `continue_` it continues.

        Raises NotFound, Invalid, Conflict while the session changes too fast, ContentDamaged for a copy of damaged events,
        and for a turn that continues the errors of `TurnService.create`.
        """
        if request.session_name is not None:
            sessions.check_name(request.session_name)
        for _ in range(ATTEMPTS):
            session, _ = await self._states.session(agent_id, session_id)
            agent = await self._agent(request.agent_id or agent_id, request.agent_id is not None)
            async with self._families.lock(session.root or session_id):
                parent = await self._states.session(agent_id, session_id)
                point = await self._points.find(session_id, parent, request)
                try:
                    return await self._fork(session_id, parent, point, agent, request, (caller, command))
                except VersionConflict:
                    continue
        raise Conflict(f"Session {session_id!r} is busy with other requests. Try again.")

    async def _agent(self, agent_id: str, is_named: bool) -> _Agent:
        try:
            return _Agent(agent_id, await self._states.agent_version(agent_id))
        except NotFound as error:
            raise NotFound(f"agent_id: {error.detail}") if is_named else error from None

    async def _runnable(self, state: TurnState) -> AgentConfig:
        """Returns the configuration with which a turn continues. Raises the errors of `TurnService.create`."""
        self._driver.refuse_if_full()
        config = await self._states.agent_of(state)
        self._driver.plans.shields_of(config)
        provider, _ = await self._models.resolve(config.model)
        check_capabilities(config, provider)
        return config

    async def _fork(
        self,
        session_id: str,
        parent: Folded[SessionState],
        point: ForkPoint,
        agent: _Agent,
        request: ForkSessionRequest,
        cause: tuple[Caller, str],
    ) -> str:
        """Raises VersionConflict if the parent, its family or the agent has changed."""
        fork_id, turn_id = self._effects.new_id(), ""
        copied: list[Event] = []
        if point.turn_id:
            turn_id = self._effects.new_id()
            target = Target(
                session_id=fork_id, agent_id=agent.id, turn_id=turn_id, agent_version=agent.version
            )
            events = [Copied(one.recorded_at, one.event) for one in point.events]
            copied = forks.copies(events, target, self._effects.new_id, self._effects.now_us())
        elif request.continue_:
            raise Invalid(
                "continue is true, but the session is not forked in the middle of a turn. Leave it out."
            )
        name = request.session_name
        forked = SessionForked(
            agent_id=agent.id,
            session_name=parent.state.session_name if name is None else name,
            parent=session_id,
            parent_version=point.version,
            root=parent.state.root or session_id,
            turns=list(point.turns),
            copied=CopiedTurn(turn_id=turn_id, source=point.turn_id, version=len(copied)) if copied else None,
        )
        if not copied:
            await self._append(parent, agent, [_session(fork_id, [forked], cause)], cause)
            return fork_id
        turn = RunningTurn(self._store, fork_id, turn_id)
        turn.take_over(forks.folded(copied), len(copied))
        ending = cause[0].stamp(forks.ending(turn.state, request.continue_, self._driver.runs.ownership.own))
        closed = forks.closed(turn.state, ending)
        first = [forked, *(sessions.close_turn(turn_id, closed) if closed else ())]
        writes = [_session(fork_id, first, cause), StreamWrite(turn.stream, 0, [*copied, *ending])]
        config = await self._runnable(turn.state) if request.continue_ else None
        with self._driver.runs.opening(turn.stream):
            appended = await self._append(parent, agent, writes, cause)
            if config is not None:
                turn.publish(ending, appended.recorded_at[-len(ending) :])
                self._driver.launch(turn, config, cause[0])
        if turn.state.status == "awaiting_input":
            self._driver.on_waiting(turn)
        return fork_id

    async def _append(
        self,
        parent: Folded[SessionState],
        agent: _Agent,
        writes: Sequence[StreamWrite],
        cause: tuple[Caller, str],
    ) -> Appended:
        """Records a fork of `parent` together with its mention in the root's stream."""
        caller, command = cause
        forked = writes[0].events[0]
        assert isinstance(forked, SessionForked)
        expects = [Expect(stream_name("agent", agent.id), agent.version)]
        root_version = parent.version
        if forked.root != forked.parent:
            root_version = (await self._states.session_or_rest(forked.root)).version
            expects.append(Expect(stream_name("session", forked.parent), parent.version))
        _, _, fork_id = split_stream(writes[0].stream)
        added = caller.stamp([SessionForkAdded(session_id=fork_id)])
        # First, so that the new session is the last one of the command.
        root = StreamWrite(stream_name("session", forked.root), root_version, added)
        return await self._store.append(Append((root, *writes), expects=tuple(expects), command=command))


def _session(fork_id: str, events: Sequence[Event], cause: tuple[Caller, str]) -> StreamWrite:
    return StreamWrite(stream_name("session", fork_id), 0, cause[0].stamp(events))
