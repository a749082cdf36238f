"""The turns of a recorded session as other formats need them: what was shown, without text that shields refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw, Struct

from schemas.events.agent import AgentCreated, AgentUpdated
from schemas.events.payload import AgentConfig, CompletionMessage, TurnUsage
from schemas.events.session import SessionCreated, SessionForked
from schemas.events.turn import TurnStarted, TurnStepCompleted, TurnStepStarted, TurnToolsResolved
from stack.domain import turn as turns
from stack.domain.turn import TurnState
from stack.domain.turn_shield import input_passed, judged_steps, refusal
from stack.domain.turn_step import StepState
from stack.errors import ContentDamaged
from stack.eventstore import Recorded
from stack.services.replay.session_record import SessionRecord
from stack.services.tools.tool_set import ToolSet, function_of
from stack.services.turns.conversation import Pending, history_of, questions_of


class ExportedStep(Struct, frozen=True, kw_only=True):
    """A step that a model saw. `model` is the name by which the server called the model of an inference."""

    step: StepState
    model: str = ""
    response_model: str = ""
    response_id: str = ""
    reasoning: str = ""
    usage: TurnUsage | None = None


class ExportedTurn(Struct, frozen=True, kw_only=True):
    """A turn with the agent's configuration of that time, and its tools in the chat format. `own_output` is the output of
    the turn if it is not that of an inference: the message of a shield, or what was produced before a failure.
    `questions` are the input as chat messages; they are empty if shields have not let it pass. `refused` is the touchpoint
    of the text that a shield refused, "" if there is none."""

    turn_id: str
    state: TurnState
    agent: AgentConfig
    agent_version: int
    tools: Sequence[Mapping[str, Any]]
    steps: Sequence[ExportedStep]
    own_output: CompletionMessage | None = None
    questions: Sequence[Raw] = ()
    refused: str = ""


def session_name(record: SessionRecord) -> str:
    for recorded in record.session:
        if isinstance(recorded.event, SessionCreated | SessionForked):
            return recorded.event.session_name
    return ""


def exported_turns(record: SessionRecord) -> list[ExportedTurn]:
    """Returns the turns of a session in order. Raises ContentDamaged if the configuration of an agent cannot be read."""
    versions = {agent_id: _configurations(events) for agent_id, events in record.agents.items()}
    resolved: dict[str, TurnToolsResolved] = {}
    exported = []
    pending: Pending = {}
    for turn_id, events in record.turns.items():
        state = TurnState()
        for recorded in events:
            state = turns.evolve(state, recorded.event, recorded.recorded_at, recorded.version)
        version = next((one.event.agent_version for one in events if isinstance(one.event, TurnStarted)), 0)
        configurations = versions.get(state.agent_id) or versions.get(record.agent_id) or []
        if not configurations:
            raise ContentDamaged(f"The configuration of the agent of turn {turn_id!r} cannot be read.")
        version = min(max(version, 1), len(configurations))
        objection = refusal(state)
        agent = configurations[version - 1]
        tools = next(
            (one.event for one in reversed(events) if isinstance(one.event, TurnToolsResolved)), None
        )
        if tools is not None:
            resolved[turn_id] = resolved.get(tools.same_as, tools) if tools.tools is None else tools
        exported.append(
            ExportedTurn(
                turn_id=turn_id,
                state=state,
                agent=agent,
                agent_version=version,
                tools=_tools(agent, resolved.get(turn_id)),
                steps=_steps(state, events),
                own_output=_own_output(state),
                questions=questions_of(state, pending) if input_passed(state) else (),
                refused=objection.touchpoint if objection is not None else "",
            )
        )
        pending = history_of(state, pending).pending
    return exported


def _configurations(events: Sequence[Recorded]) -> list[AgentConfig]:
    return [one.event.config for one in events if isinstance(one.event, AgentCreated | AgentUpdated)]


def _tools(agent: AgentConfig, resolved: TurnToolsResolved | None) -> list[Mapping[str, Any]]:
    of_server = (resolved.tools if resolved is not None else None) or ()
    functions = [
        *ToolSet(agent.client_tools or ()).functions,
        *(function_of(tool.name, tool.description, tool.input_schema) for tool in of_server),
    ]
    return [{"type": "function", "function": one} for one in functions]


def _steps(state: TurnState, events: Sequence[Recorded]) -> list[ExportedStep]:
    begun = {one.event.step_id: one.event for one in events if isinstance(one.event, TurnStepStarted)}
    done = {one.event.step_id: one.event for one in events if isinstance(one.event, TurnStepCompleted)}
    steps = []
    for step in judged_steps(state):
        start, end = begun.get(step.step_id), done.get(step.step_id)
        steps.append(
            ExportedStep(
                step=step,
                model=start.model if start is not None else "",
                response_model=end.response_model if end is not None else "",
                response_id=end.response_id if end is not None else "",
                reasoning=end.reasoning if end is not None else "",
                usage=end.usage if end is not None else None,
            )
        )
    return steps


def _own_output(state: TurnState) -> CompletionMessage | None:
    if not state.completed_at or not state.output_message.content:
        return None
    shown = [step.output for step in judged_steps(state) if step.output is not None]
    is_shown = bool(shown) and shown[-1].content == state.output_message.content and refusal(state) is None
    return None if is_shown else state.output_message
