"""The parts with which a turn runs: the agent, its model and tools, and the messages before the turn's own answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cachetools import LRUCache
from msgspec import Struct

from schemas.events.payload import AgentConfig
from schemas.events.turn import TurnToolsResolved
from stack.domain.tool import check_tool_choice, tool_config
from stack.errors import Invalid, NotFound
from stack.providers.inference.port import InferenceProvider
from stack.providers.inference.registry import Models
from stack.providers.shields.port import Shield
from stack.providers.tools.registry import ToolGroups
from stack.services.safety.safety import Safety
from stack.services.tools.tool_set import ToolSet, tool_set
from stack.services.turns.conversation import (
    Conversations,
    History,
    Messages,
    digested,
    questions_for,
    system_message,
)
from stack.services.turns.retrieval_step import long_documents_of
from stack.services.turns.running_turn import RunningTurn
from telemetry.own import conventions as names

if TYPE_CHECKING:
    # Their read models need DuckDB, which a plan without a server does not.
    from stack.services.state import States

KEPT_TOOLS = 10_000
"""The number of sessions of which it is kept in memory which turn recorded their tools."""


class TurnPlan(Struct, frozen=True, kw_only=True):
    """The parameters of a turn, all known before its first step.

    `context` holds the messages before the turn's own answers: instructions, history, this turn's input.
    `long_documents` are the numbers of the documents from which passages are to be retrieved first; then `context` is
    still without the turn's input. `tools_resolved` is to be recorded: the turn's tools, if they are not recorded yet.
    `input_shields` judge what the model reads, `output_shields` what it writes. `labels`
    identify the turn on the spans of its effects.
    """

    agent: AgentConfig
    provider: InferenceProvider
    model: str
    context: Messages
    tools: ToolSet = ToolSet(())
    tools_resolved: TurnToolsResolved | None = None
    tool_choice: str | None = None
    long_documents: tuple[int, ...] = ()
    input_shields: Sequence[Shield] = ()
    output_shields: Sequence[Shield] = ()
    labels: Mapping[str, str] = {}


class TurnParts(Struct, frozen=True, kw_only=True):
    """The parts of a turn except its messages: configuration, model, tools and shields."""

    agent: AgentConfig
    provider: InferenceProvider
    model: str
    tools: ToolSet
    input_shields: Sequence[Shield] = ()
    output_shields: Sequence[Shield] = ()


async def plan_of(
    turn: RunningTurn, parts: TurnParts, history: History, long: Sequence[int], same_tools_as: str = ""
) -> TurnPlan:
    """Returns the plan of a turn. `long` are the numbers of its documents from which passages are to be retrieved first;
    `same_tools_as` is an earlier turn of the session that recorded the same tools, "" if there is none. Raises Invalid
    for a `tool_choice` that names none of the tools."""
    agent, tools = parts.agent, parts.tools
    config = tool_config(agent, turn.state.tool_config)
    check_tool_choice(config.tool_choice, tools.names, "tool_config")
    instructions = digested(system_message(agent, config, tools.functions))
    questions = digested([]) if long else await questions_for(turn.state, history.pending)
    resolved = None
    if tools.digest != turn.state.tools_digest:
        own = None if same_tools_as else tools.resolved
        resolved = TurnToolsResolved(digest=tools.digest, tools=own, same_as=same_tools_as)
    return TurnPlan(
        agent=agent,
        provider=parts.provider,
        model=parts.model,
        context=Messages(
            [*instructions.encoded, *history.messages, *questions.encoded],
            b"".join((instructions.digests, history.digests, questions.digests)),
        ),
        tools=tools,
        tools_resolved=resolved,
        tool_choice=config.tool_choice,
        long_documents=tuple(long),
        input_shields=parts.input_shields,
        output_shields=parts.output_shields,
        labels=labels_of(turn),
    )


class TurnPlans:
    """Prepares turns from what is recorded, and keeps the messages of those that have ended. Documents of a turn that are
    longer than `max_context_characters` together are retrieved."""

    def __init__(
        self,
        states: States,
        models: Models,
        conversations: Conversations,
        toolgroups: ToolGroups,
        safety: Safety,
        max_context_characters: int,
    ) -> None:
        self._states = states
        self._models = models
        self._conversations = conversations
        self.toolgroups = toolgroups
        self._max_context_characters = max_context_characters
        self._safety = safety
        self._tools: LRUCache[str, tuple[str, str]] = LRUCache(KEPT_TOOLS)

    def shields_of(self, agent: AgentConfig) -> tuple[Sequence[Shield], Sequence[Shield]]:
        """Returns the agent's shields for input and for output. Raises Invalid for one that is no longer configured."""
        return (
            self._safety.of(agent.input_shields or (), "agent_config.input_shields"),
            self._safety.of(agent.output_shields or (), "agent_config.output_shields"),
        )

    async def prepare(self, turn: RunningTurn, agent: AgentConfig) -> TurnPlan:
        """Raises Invalid for a model, a toolgroup, a tool or a shield that does not exist, and the errors of the toolgroups."""
        input_shields, output_shields = self.shields_of(agent)
        provider, model = await self._models.resolve(agent.model)
        session = await self._states.session(turn.state.agent_id, turn.session_id)
        history = await self._conversations.before(turn.session_id, session.state, turn.turn_id)
        parts = TurnParts(
            agent=agent,
            provider=provider,
            model=model,
            tools=await tool_set(self.toolgroups, agent, turn.state.toolgroups),
            input_shields=input_shields,
            output_shields=output_shields,
        )
        long = await long_documents_of(turn.state, self._max_context_characters)
        digest, recorded_with = self._tools.get(turn.session_id, ("", ""))
        same_as = recorded_with if digest == parts.tools.digest else ""
        return await plan_of(turn, parts, history, long, same_as)

    async def forget(self, session_id: str) -> None:
        """Drops the kept messages of a session and of those with which it shares turns, because a result in them was
        settled."""
        session, _ = await self._states.session_or_rest(session_id)
        root_id = session.root or session_id
        root, _ = await self._states.session_or_rest(root_id)
        for one in (session_id, root_id, *root.forks):
            self._conversations.forget(one)

    async def remember(self, turn: RunningTurn) -> None:
        """Keeps the messages of a turn that has ended, for the next one."""
        try:
            session, _ = await self._states.session(turn.state.agent_id, turn.session_id)
        except NotFound:
            return
        self._conversations.add(turn.session_id, session, turn.turn_id, turn.state)
        if turn.state.tools_digest:
            recorded_with = turn.state.tools_of or turn.turn_id
            self._tools[turn.session_id] = (turn.state.tools_digest, recorded_with)


def labels_of(turn: RunningTurn) -> dict[str, str]:
    """Returns the attributes of all spans of a turn: the names by which existing users filter, and the
    conventions'."""
    return {
        names.GEN_AI_CONVERSATION_ID: turn.session_id,
        "session_id": turn.session_id,
        "agent_id": turn.state.agent_id,
        "turn_id": turn.turn_id,
    }


def check_capabilities(agent: AgentConfig, provider: InferenceProvider, where: str = "agent_config") -> None:
    """Raises Invalid for a parameter that the provider does not support. `where` is the place of the agent's
    configuration in the request."""
    params, can = agent.sampling_params, provider.capabilities
    if agent.response_format and agent.response_format.type == "grammar" and not can.grammar:
        raise Invalid(f"{where}.response_format: {provider.id} takes no grammar; use json_schema.")
    if params is not None:
        if params.strategy and params.strategy.type == "top_k" and not can.top_k:
            raise Invalid(f"{where}.sampling_params.strategy: {provider.id} has no top_k; use top_p.")
        if params.repetition_penalty not in (None, 1.0) and not can.repetition_penalty:
            raise Invalid(
                f"{where}.sampling_params.repetition_penalty: {provider.id} has none; leave it out."
            )
