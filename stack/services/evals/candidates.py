"""Validates the candidates of evaluation jobs, and creates the objects that answer for them."""

from __future__ import annotations

from schemas.api.eval import EvalCandidate as RequestedCandidate
from schemas.api.eval import ModelCandidate
from schemas.events.payload import EvalCandidate
from stack.domain import payload
from stack.domain.agent import sampling_params
from stack.errors import Invalid
from stack.eventstore import EventStore
from stack.providers.inference.registry import Models
from stack.services.agents.agent import AgentService
from stack.services.agents.session import SessionService
from stack.services.effects import Effects
from stack.services.evals.agent_candidate import AgentAnswers
from stack.services.evals.candidate import WHERE, Candidate, ModelAnswers, agent_of
from stack.services.evals.running_job import RunningJob
from stack.services.turns.content import ContentLoader
from stack.services.turns.turn import TurnService
from stack.services.turns.turn_plan import check_capabilities


class Candidates:
    def __init__(
        self,
        store: EventStore,
        models: Models,
        agents: AgentService,
        sessions: SessionService,
        turns: TurnService,
        effects: Effects,
        content: ContentLoader,
    ) -> None:
        self._store = store
        self._models = models
        self._agents = agents
        self._sessions = sessions
        self._turns = turns
        self._effects = effects
        self._content = content

    async def checked(self, candidate: RequestedCandidate) -> EvalCandidate:
        """Returns the normalised candidate. Raises Invalid for an unknown model and for unsupported
        features."""
        if isinstance(candidate, ModelCandidate):
            params = sampling_params(candidate.sampling_params, f"{WHERE}.sampling_params")
            normal = payload.model_candidate(candidate, payload.sampling_params(params))
        else:
            config = self._agents.normalised(candidate.config, f"{WHERE}.config")
            normal = EvalCandidate(type="agent", config=config)
        config = agent_of(normal)
        provider, _ = await self._models.resolve(config.model)
        check_capabilities(config, provider, WHERE)
        return normal

    async def of_job(self, job: RunningJob, left: bool) -> Candidate:
        """Returns the candidate of a job; `left` means left open by an earlier process. Raises Invalid for a
        model that no longer exists, and for a type that this release does not know."""
        scheduled = job.state.scheduled
        assert scheduled is not None
        candidate = scheduled.config.eval_candidate
        if candidate.type == "model":
            provider, model = await self._models.resolve(candidate.model or "")
            return ModelAnswers(candidate, provider, model, self._effects, self._content)
        if candidate.type != "agent":
            raise Invalid(f"{WHERE} has the type {candidate.type!r}, which this release does not know.")
        return AgentAnswers(
            scheduled.agent_id,
            f"{job.benchmark_id}/{job.job_id}",
            self._store,
            self._sessions,
            self._turns,
            is_cancelled=lambda: job.stopping is not None and job.stopping[0] == "cancelled",
            look_for_earlier=left,
        )
