"""Many forks, turns and deletions at the same time: the content of a turn is readable exactly as long as a session refers to
it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from projections import session as session_views
from schemas.api.agent import AgentConfig
from schemas.api.effect import Effect, SettleEffectRequest
from schemas.api.session import ForkSessionRequest
from schemas.api.turn import CreateAgentTurnRequest
from schemas.events.base import Redacted
from schemas.events.turn import TurnToolCalled, TurnToolReturned
from stack.data_folder import DataFolder
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.errors import Conflict, NotFound
from stack.event_log import log_place
from stack.eventstore import Append, Folded, StreamWrite, stream_name
from stack.services.requests.caller import Caller
from stack.settings import Settings
from stack.wiring import Server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CALLER = Caller()
AT_ONCE = 20


class World:
    """A server in this process, with the sessions that were ever made, by id, each with its agent."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.sessions: dict[str, str] = {}
        self.turns: dict[str, None] = {}

    async def begin(self) -> None:
        agents = [await self._agent() for _ in range(3)]
        for agent_id in agents:
            session_id = await self.server.sessions.create(agent_id, "root", CALLER, "")
            self.sessions[session_id] = agent_id
            for _ in range(3):
                await self.turn(session_id)
            for _ in range(3):
                await self.fork(session_id)

    async def _agent(self) -> str:
        config = msgspec.convert({"model": "demo/extractive", "instructions": ""}, AgentConfig)
        return await self.server.agents.create(config, CALLER, "")

    async def turn(self, session_id: str) -> None:
        text = f"canary {len(self.turns)}"
        request = msgspec.convert({"messages": [{"role": "user", "content": text}]}, CreateAgentTurnRequest)
        turn = await self.server.turns.create(self.sessions[session_id], session_id, request, CALLER, "")
        self.turns[turn.turn_id] = None
        await turn.ended()

    async def fork(self, session_id: str) -> None:
        turns = (await self.server.states.session(self.sessions[session_id], session_id)).state.turns
        agent_id = self.random.choice(list(self.sessions.values()))
        turn_id = self.random.choice([None, *turns])
        request = ForkSessionRequest(turn_id=turn_id, agent_id=agent_id)
        fork_id = await self.server.forks.fork(self.sessions[session_id], session_id, request, CALLER, "")
        self.sessions[fork_id] = agent_id
        copied = (await self.server.states.session(agent_id, fork_id)).state.turns
        self.turns |= dict.fromkeys(copied)

    async def delete(self, session_id: str) -> None:
        await self.server.sessions.delete(self.sessions[session_id], session_id, CALLER)

    async def drop_agent(self, session_id: str) -> None:
        await self.server.agents.delete(self.sessions[session_id], CALLER)

    async def any(self) -> None:
        session_id = self.random.choice(list(self.sessions))
        deletes = [self.delete, self.delete, self.delete, self.drop_agent]
        work = self.random.choice([*[self.fork] * 6, *deletes, self.turn, self.turn])
        try:
            await work(session_id)
        except (NotFound, Conflict) as error:
            assert "busy" not in error.detail, error.detail

    async def check(self) -> None:
        """Compares the log and the read models with the sessions that exist."""
        referred: set[str] = set()
        for session_id, agent_id in self.sessions.items():
            try:
                state = (await self.server.states.session(agent_id, session_id)).state
            except NotFound:
                state = None
            shown = await self.server.views.read(
                ("agent", "session", "turn"), session_views.get, agent_id, session_id
            )
            assert (shown is None) == (state is None)
            if state is not None and shown is not None:
                referred.update(state.turns)
                assert [turn.turn_id for turn in shown.turns] == list(state.turns)
                assert all(turn.input_messages for turn in shown.turns)
        streams = await self.server.store.read_streams([stream_name("turn", one) for one in self.turns])
        readable = {
            turn_id
            for turn_id in self.turns
            if not any(isinstance(one.event, Redacted) for one in streams[stream_name("turn", turn_id)])
        }
        assert readable == referred


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    data = DataFolder(folder)
    server = Server(Settings(data=folder, discover_models=False), data)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        data.close()


@pytest.mark.parametrize("seed", range(3))
async def test_content_is_readable_as_long_as_a_session_refers_to_it(tmp_path: Path, seed: int) -> None:
    async with serving(tmp_path / "data") as server:
        world = World(server, seed)
        await world.begin()
        for _ in range(4):
            await asyncio.gather(*(world.any() for _ in range(AT_ONCE)))
            await world.check()
        await asyncio.gather(*(world.delete(one) for one in world.sessions), return_exceptions=True)
        await world.check()
        log = server.store.log
        assert not any(b"canary" in record.state for record in log.after(0, 100_000))
    report = log_place(tmp_path / "data").verify()
    assert report.problems == (), report


async def test_deleting_an_agent_with_many_forks_takes_time_in_proportion(tmp_path: Path) -> None:
    """Each fork is compared with its parent, not with all other forks."""
    async with serving(tmp_path / "data") as server:
        world = World(server, 0)
        await world.begin()
        root, agent_id = next(iter(world.sessions.items()))
        request = ForkSessionRequest()
        forks = [await server.forks.fork(agent_id, root, request, CALLER, "") for _ in range(40)]
        loads = 0
        load = server.states.session_or_rest

        async def counted(session_id: str, as_of: int | None = None) -> Folded[SessionState]:
            nonlocal loads
            loads += 1
            return await load(session_id, as_of)

        server.states.session_or_rest = counted  # type: ignore[method-assign]
        await server.agents.delete(agent_id, CALLER)
        assert loads < 10 * len(forks)


async def test_an_effect_of_a_turn_that_is_being_deleted_is_not_settled(tmp_path: Path) -> None:
    """The deletion comes after the turn was read: nothing is recorded in its stream, which was redacted."""
    async with serving(tmp_path / "data") as server:
        world = World(server, 0)
        await world.begin()
        session_id = next(iter(world.sessions))
        turn_id = next(iter(world.turns))
        stream = stream_name("turn", turn_id)
        _, version = await server.states.turn(session_id, turn_id)
        call = {"call_id": "c", "tool_name": "t"}
        lost = [
            TurnToolCalled(step_id="s", key="k", toolgroup="g", arguments="{}", **call),
            TurnToolReturned(status="unknown", content="", **call),
        ]
        await server.store.append(Append((StreamWrite(stream, version, lost),)))
        turn = server.states.turn
        # The read models do not show a call that was made after the end of its turn.
        effect = Effect(
            key="k",
            status="unknown",
            agent_id=world.sessions[session_id],
            session_id=session_id,
            turn_id=turn_id,
            toolgroup="g",
            arguments="{}",
            repeatable=False,
            attempts=1,
            called_at="",
            **call,
        )

        async def show(key: str) -> Effect:
            return effect

        server.effects.show = show  # type: ignore[method-assign]

        async def deleted_then(*ids: str) -> Folded[TurnState]:
            server.states.turn = turn  # type: ignore[method-assign]
            found = await turn(*ids)
            for one in list(world.sessions):
                await world.delete(one)
            return found

        server.states.turn = deleted_then  # type: ignore[method-assign, assignment]
        request = SettleEffectRequest(decision="done", content="canary settled")
        with pytest.raises(NotFound):
            await server.effects.settle("k", request, CALLER)
        assert server.states.turn == turn, "the sessions were deleted"
        assert not any(b"canary" in record.state for record in server.store.log.after(0, 100_000))
