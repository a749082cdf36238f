"""The parts of a turn, made from its record: configuration, tools and shields that do nothing themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from msgspec import Struct, convert

from schemas.api.model import Model
from schemas.events.agent import AgentCreated, AgentUpdated
from schemas.events.base import Event
from schemas.events.payload import AgentConfig, Violation
from schemas.events.turn import ResolvedTool, TurnStarted, TurnStepStarted, TurnToolsResolved
from stack.eventstore import Recorded
from stack.providers.inference.port import (
    Capabilities,
    InferenceEvent,
    InferenceRequest,
    RelayedAnswer,
    RelayedRequest,
)
from stack.providers.shields.port import ShieldRequest
from stack.providers.tools.port import Suspended, ToolDefinition, ToolRequest, ToolResult
from stack.providers.tools.registry import Configured
from stack.providers.tools.settings import ApprovalRule, ToolGroupSettings
from stack.services.replay.session_record import SessionRecord
from stack.services.tools.tool_set import ServerTool, ToolSet
from stack.services.turns.turn_plan import TurnParts

NEVER_ASKED = "The effects port answers from the record: a recorded part is never asked."


class Unreplayable(Exception):
    """A turn cannot be run again. The message says why."""


class RecordedProvider(Struct, frozen=True):
    """A model provider that is only named."""

    id: str
    base_url: str = ""
    capabilities: Capabilities = Capabilities(top_k=True, repetition_penalty=True, grammar=True)

    async def models(self) -> list[Model]:
        return []

    def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        raise AssertionError(NEVER_ASKED)

    def relay(
        self, request: RelayedRequest, *, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[RelayedAnswer]:
        raise AssertionError(NEVER_ASKED)

    async def aclose(self) -> None:
        pass


class RecordedShield(Struct, frozen=True):
    id: str
    kind: str = "recorded"
    resource: str = ""
    timeout_s: float = 3600.0

    async def check(self, request: ShieldRequest) -> Violation | None:
        raise AssertionError(NEVER_ASKED)


class RecordedGroup(Struct):
    id: str
    provider_id: str = "recorded"

    async def tools(self, args: Mapping[str, Any]) -> Sequence[ToolDefinition]:
        return ()

    async def call(self, request: ToolRequest) -> ToolResult | Suspended:
        raise AssertionError(NEVER_ASKED)

    async def aclose(self) -> None:
        pass


def config_of(record: SessionRecord, started: TurnStarted) -> AgentConfig:
    """Returns the configuration with which a turn ran. Raises Unreplayable."""
    configs = [
        one.event.config
        for one in record.agents.get(started.agent_id, ())
        if isinstance(one.event, AgentCreated | AgentUpdated)
    ]
    version = max(1, started.agent_version)
    if len(configs) < version:
        raise Unreplayable(f"version {version} of its agent's configuration is not in the record")
    return configs[version - 1]


def tools_of(record: SessionRecord, events: Sequence[Event]) -> list[ResolvedTool]:
    """Returns the tools that were last recorded in `events` of a turn, none without such an event. Raises Unreplayable."""
    found = [event for event in events if isinstance(event, TurnToolsResolved)]
    if not found:
        return []
    if found[-1].tools is not None:
        return found[-1].tools
    return _tools_recorded_in(record.turns.get(found[-1].same_as, ()), found[-1].digest)


def _tools_recorded_in(turn: Sequence[Recorded], digest: str) -> list[ResolvedTool]:
    for one in turn:
        event = one.event
        if isinstance(event, TurnToolsResolved) and event.digest == digest and event.tools is not None:
            return event.tools
    raise Unreplayable("the turn that recorded its tools is not in the record")


def parts_of(agent: AgentConfig, tools: Sequence[ResolvedTool], events: Sequence[Event]) -> TurnParts:
    """Returns the parts of a turn with these `events`, which name its model."""
    models = [event.model for event in events if isinstance(event, TurnStepStarted) and event.model]
    provider, _, model = (models[0] if models else agent.model).partition("/")
    return TurnParts(
        agent=agent,
        provider=RecordedProvider(provider),
        model=model or provider,
        tools=ToolSet(agent.client_tools or (), [_server_tool(one) for one in tools]),
        input_shields=[RecordedShield(id) for id in agent.input_shields or ()],
        output_shields=[RecordedShield(id) for id in agent.output_shields or ()],
    )


def _server_tool(tool: ResolvedTool) -> ServerTool:
    settings = ToolGroupSettings(
        id=tool.toolgroup,
        approval=[convert(rule, ApprovalRule) for rule in tool.approval or ()],
        max_concurrent=256,
    )
    definition = ToolDefinition(
        name=tool.tool,
        description=tool.description or "",
        input_schema=tool.input_schema,
        repeatable=tool.repeatable,
    )
    group = RecordedGroup(tool.toolgroup)
    return ServerTool(
        name=tool.name,
        definition=definition,
        configured=Configured(group, settings, asyncio.Semaphore(settings.max_concurrent)),
    )
