"""The state of agents, sessions, turns, datasets and benchmarks, folded from their streams: what commands decide from."""

from __future__ import annotations

from schemas.events.payload import AgentConfig
from stack.domain import agent as agents
from stack.domain import benchmark as benchmarks
from stack.domain import dataset as datasets
from stack.domain import session as sessions
from stack.domain import turn as turns
from stack.domain.agent import AgentState
from stack.domain.benchmark import BenchmarkState
from stack.domain.dataset import DatasetState
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.eventstore import EventStore, Fold, Folded, stream_name

_AGENT = Fold(AgentState(), agents.evolve)
_SESSION = Fold(SessionState(), sessions.evolve)
_TURN = Fold(TurnState(), turns.evolve)
_DATASET = Fold(DatasetState(), datasets.evolve, last_only=True)
_BENCHMARK = Fold(BenchmarkState(), benchmarks.evolve)


class States:
    """Methods raise NotFound for what never was or is deleted; the version is that of the stream."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def agent(self, agent_id: str) -> tuple[AgentConfig, int]:
        folded = await self._store.load(stream_name("agent", agent_id), _AGENT)
        return agents.existing(folded.state, agent_id), folded.version

    async def session(self, agent_id: str, session_id: str) -> Folded[SessionState]:
        """Also checks that the session is the agent's."""
        folded = await self._store.load(stream_name("session", session_id), _SESSION)
        sessions.existing(folded.state, agent_id, session_id)
        return folded

    async def turn(self, session_id: str, turn_id: str) -> Folded[TurnState]:
        """Also checks that the turn is the session's."""
        folded = await self._store.load(stream_name("turn", turn_id), _TURN)
        turns.existing(folded.state, session_id, turn_id)
        return folded

    async def dataset(self, dataset_id: str) -> Folded[DatasetState]:
        """One that does not exist is a state too: its id may be taken."""
        return await self._store.load(stream_name("dataset", dataset_id), _DATASET)

    async def benchmark(self, benchmark_id: str) -> Folded[BenchmarkState]:
        """One that does not exist is a state too: its id may be taken, and numbers of jobs go on."""
        return await self._store.load(stream_name("benchmark", benchmark_id), _BENCHMARK)
