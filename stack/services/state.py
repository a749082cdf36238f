"""The state of agents, sessions, turns, datasets and benchmarks, folded from their streams, on which commands
decide."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from projections import session as session_views
from schemas.events.agent import AgentCreated, AgentUpdated
from schemas.events.payload import AgentConfig
from stack.domain import agent as agents
from stack.domain import benchmark as benchmarks
from stack.domain import dataset as datasets
from stack.domain import session as sessions
from stack.domain import turn as turns
from stack.domain import turn_session as turn_sessions
from stack.domain.agent import AgentState
from stack.domain.benchmark import BenchmarkState
from stack.domain.dataset import DatasetState
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.errors import ContentDamaged, NotFound
from stack.eventstore import EventStore, Expect, Fold, Folded, stream_name
from stack.services.views import Views

S = TypeVar("S")

_AGENT = Fold(AgentState(), agents.evolve, takes_damaged=True)
_SESSION = Fold(SessionState(), sessions.evolve, takes_damaged=True)
_TURN = Fold(TurnState(), turns.evolve, takes_damaged=True)
_DATASET = Fold(DatasetState(), datasets.evolve, last_only=True, takes_damaged=True)
_BENCHMARK = Fold(BenchmarkState(), benchmarks.evolve)


class States:
    """Methods raise NotFound for things that never existed or were deleted; the version is that of the
    stream. `as_of` is a position of the log (None: now), at which nothing is seen that was deleted later. If events of a stream are damaged, the state is that of its other events and of the read
    models."""

    def __init__(self, store: EventStore, views: Views) -> None:
        self._store = store
        self._views = views

    async def agent(self, agent_id: str) -> tuple[AgentConfig, int]:
        """Returns the newest configuration and its version. Also raises ContentDamaged."""
        folded = await self._store.load(stream_name("agent", agent_id), _AGENT)
        return agents.existing(folded.state, agent_id), folded.version

    async def agent_at(self, agent_id: str, version: int) -> AgentConfig:
        """Returns the configuration that was this version. Raises NotFound also for a version that the agent never had,
        and ContentDamaged."""
        state, newest = await self.agent_state(agent_id)
        if version == newest:
            return agents.existing(state, agent_id)
        if version > 0:
            stream = stream_name("agent", agent_id)
            for recorded in await self._store.read_stream(stream, version - 1, version):
                if isinstance(recorded.event, AgentCreated | AgentUpdated):
                    return recorded.event.config
        raise agents.no_version(agent_id, version, newest)

    async def agent_of(self, turn: TurnState) -> AgentConfig:
        """Returns the configuration with which the turn began, which is its own to the end. Raises the errors of
        `agent_at`."""
        version = turn.agent_version
        if not version and (version := await self.agent_version(turn.agent_id)) > 1:
            raise ContentDamaged(
                "It is not known with which version of its agent the turn began, because its first event is damaged. "
                "Begin a new turn."
            )
        return await self.agent_at(turn.agent_id, version)

    async def agent_state(self, agent_id: str, as_of: int | None = None) -> Folded[AgentState]:
        """Also works for an agent whose configuration is damaged."""
        folded = await self._load(stream_name("agent", agent_id), _AGENT, as_of)
        agents.check_exists(folded.state, agent_id)
        return folded

    async def agent_version(self, agent_id: str, as_of: int | None = None) -> int:
        """Also works for an agent whose configuration is damaged."""
        return (await self.agent_state(agent_id, as_of)).version

    async def session(self, agent_id: str, session_id: str, as_of: int | None = None) -> Folded[SessionState]:
        """Also checks that the session is the agent's. Raises ContentDamaged if this is unknown."""
        folded = await self.session_or_rest(session_id, as_of)
        sessions.existing(folded.state, agent_id, session_id)
        return folded

    async def any_session(self, session_id: str, as_of: int | None = None) -> SessionState:
        """Returns a session by its id alone. Raises ContentDamaged if its agent is unknown."""
        state, _ = await self.session_or_rest(session_id, as_of)
        if not state.created_at or state.deleted:
            raise NotFound(f"There is no session {session_id!r}.")
        return sessions.existing(state, state.agent_id, session_id)

    async def turn(self, session_id: str, turn_id: str, as_of: int | None = None) -> Folded[TurnState]:
        """Also checks that the session has the turn: its `session_id` is another one if they share it."""
        state, version = await self._load(stream_name("turn", turn_id), _TURN, as_of)
        if state.session_id != session_id:
            session = (await self.session_or_rest(session_id, as_of)).state
            if turn_id not in session.turns or session.deleted:
                raise turn_sessions.unknown(session_id, turn_id)
            if state.is_damaged and not state.session_id:
                is_shared = turn_id in session.shared_turns
                recorded_in = session.parent if is_shared else session_id
                state = replace(state, session_id=recorded_in, agent_id=session.agent_id)
        turn_sessions.existing(state, session_id, turn_id)
        return Folded(state, version)

    async def session_or_rest(self, session_id: str, as_of: int | None = None) -> Folded[SessionState]:
        """Returns also a deleted session: what its stream still says of its forks."""
        state, version = await self._load(stream_name("session", session_id), _SESSION, as_of)
        if state.damage:
            remains = await self._views.read(("session", "turn"), session_views.remains, session_id, as_of)
            known = sessions.Remains(
                agent_id=remains.agent_id,
                name=remains.name,
                parent=remains.parent,
                root=remains.root,
                turns=[*remains.shared, *remains.turns],
                shared=len(remains.shared),
                forks=remains.forks,
            )
            state = sessions.with_remains(state, known)
        return Folded(state, version)

    async def root_of(self, session_id: str) -> Expect:
        """Returns the present version of the stream that each fork and deletion within the session's family changes."""
        session, version = await self.session_or_rest(session_id)
        if session.root:
            _, version = await self.session_or_rest(session.root)
        return Expect(stream_name("session", session.root or session_id), version)

    async def dataset(self, dataset_id: str, as_of: int | None = None) -> Folded[DatasetState]:
        """A dataset that does not exist has a state too: its id is free."""
        return await self._load(stream_name("dataset", dataset_id), _DATASET, as_of)

    async def benchmark(self, benchmark_id: str) -> Folded[BenchmarkState]:
        """A benchmark that does not exist has a state too: its id is free, and job numbers continue."""
        return await self._store.load(stream_name("benchmark", benchmark_id), _BENCHMARK)

    async def _load(self, stream: str, fold: Fold[S], as_of: int | None) -> Folded[S]:
        if as_of is None:
            return await self._store.load(stream, fold)
        return await self._store.load_fresh(stream, fold, as_of)
