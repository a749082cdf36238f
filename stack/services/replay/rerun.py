"""Runs a recorded session again with something changed: its agent, its tools, or its model.

Each turn gets its recorded input. A model that is not live gives its recorded answers, by their position in the turn;
tools give what they gave for the same arguments. Nothing else happens unless it is named in `Outside`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.events.base import Damaged, Event, Redacted
from schemas.events.payload import AgentConfig, Content, ToolCall, ToolResponse, TurnUsage, Violation
from schemas.events.turn import (
    Owner,
    ResolvedTool,
    TurnInputReceived,
    TurnInputRequested,
    TurnResumed,
    TurnStarted,
    TurnStepCompleted,
)
from schemas.session_file import Tolerance
from stack.domain import turn as turns
from stack.domain.session import SessionState
from stack.domain.tool_call import undecided
from stack.eventstore import Recorded, stream_name
from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    InferenceProvider,
    InferenceRequest,
    Opened,
)
from stack.providers.retrieval.port import Passage, Text
from stack.providers.shields.port import Shield, ShieldRequest
from stack.providers.tools.port import Suspended, ToolRequest, ToolResult
from stack.services.effects import Captured, new_id
from stack.services.replay.recorded_effects import (
    FINISH_REASONS,
    NotRecorded,
    chunks_of,
    objection_of,
    outcome_of,
    passages_of,
)
from stack.services.replay.recorded_parts import Unreplayable, config_of, parts_of, tools_of
from stack.services.replay.recorded_results import Outcome, RecordedResults
from stack.services.replay.recorded_streams import RecordedStreams
from stack.services.replay.replayed_turn import documents_to_retrieve, own_events
from stack.services.replay.session_record import SessionRecord
from stack.services.replay.tolerance import NONE
from stack.services.tools.tool_set import ServerTool
from stack.services.turns.conversation import Conversations
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn_plan import TurnParts, TurnPlan, plan_of
from stack.services.turns.turn_runner import Closes, TurnRunner

OWNER = Owner("replay", "replay")
MAX_RESUMES = 100

Unrecorded = Literal["recorded", "error", "simulate"]
"""The treatment of a call whose result is not in the record: the run ends there, the model sees an error, or a model takes
the tool's place."""

CallLive = Callable[[str, str], Awaitable[ToolResult]]
"""Calls a tool of the server, by its name for the model and its arguments as JSON. Raises ReplaystackError."""
Simulate = Callable[[ToolCall, Sequence[tuple[str, str]]], Awaitable[str]]
"""Answers a call in the place of its tool, given recorded calls of it: arguments and results. Raises ReplaystackError."""


class Missing(NotRecorded):
    """A call whose result is not in the record."""

    def __init__(self, call: ToolCall) -> None:
        super().__init__()
        self.call = call


class Scenario(Struct, frozen=True, kw_only=True):
    """The changes. `agent` changes the configuration, `tools` the definitions of the server's tools of a turn."""

    agent: Callable[[AgentConfig], AgentConfig] = lambda config: config
    tools: Callable[[list[ResolvedTool]], list[ResolvedTool]] = lambda tools: tools


class Outside(Struct, frozen=True, kw_only=True):
    """The live parts. Without a `model` (a provider, and its name for the model) the recorded answers are used; with one,
    the first `recorded_answers` of the session are the recorded ones. `live` are the names of the tools that are really
    called; each must be declared repeatable."""

    model: tuple[InferenceProvider, str] | None = None
    recorded_answers: int = 0
    unrecorded: Unrecorded = "recorded"
    live: frozenset[str] = frozenset()
    call_live: CallLive | None = None
    simulate: Simulate | None = None


class RerunTurn(Struct, frozen=True, kw_only=True):
    """The events of one turn. `missing` is the call at which it ended, because its result is not in the record."""

    events: list[Event]
    missing: ToolCall | None = None


class Rerun:
    """One run of a session. Raises Unreplayable for a record that cannot be run, and for a tool that must not be live."""

    def __init__(
        self,
        record: SessionRecord,
        scenario: Scenario | None = None,
        outside: Outside | None = None,
        tolerance: Tolerance = NONE,
    ) -> None:
        self._record = record
        self._scenario = scenario or Scenario()
        self.outside = outside or Outside()
        recorded = [[event for _, event in own_events(turn)] for turn in record.turns.values()]
        self.results = RecordedResults(recorded, tolerance)
        self.answers = 0
        """The number of answers so far, in the whole session."""
        self._turns: dict[str, list[Recorded]] = {}
        self._streams = RecordedStreams(self._turns)
        self._conversations = Conversations(self._streams)

    async def run(self) -> dict[str, RerunTurn]:
        """Returns the turns that were run, by id: not those after a turn that ended because a result is missing."""
        found: dict[str, RerunTurn] = {}
        for turn_id, recorded in self._record.turns.items():
            found[turn_id] = await self._run_turn(turn_id, recorded)
            if found[turn_id].missing is not None:
                break
        return found

    async def _run_turn(self, turn_id: str, recorded: Sequence[Recorded]) -> RerunTurn:
        started = recorded[0].event if recorded else None
        if not isinstance(started, TurnStarted):
            raise Unreplayable("its first event is missing or damaged")
        if any(isinstance(one.event, Damaged | Redacted) for one in recorded):
            raise Unreplayable("events of the turn cannot be read")
        events = [event for _, event in own_events(recorded)]
        parts = self._parts(started, events)
        turn = RunningTurn(self._streams, self._record.session_id, turn_id)
        log: list[Recorded] = self._turns.setdefault(stream_name("turn", turn_id), [])

        async def note(new: Sequence[Event], closes: Closes = "") -> None:
            added = [*turn.outcomes, *new]
            turn.outcomes.clear()
            at = recorded[0].recorded_at
            turn.publish(added, [at] * len(added))
            log.extend(Recorded(0, version, at, event) for version, event in enumerate(added, len(log) + 1))

        async def prepare() -> TurnPlan:
            session = SessionState(turns=tuple(self._record.turns))
            history = await self._conversations.before(self._record.session_id, session, turn_id)
            return await plan_of(turn, parts, history, documents_to_retrieve(turn.state, events))

        effects = _Effects(self, events)
        runner = TurnRunner(turn, prepare, effects, note)
        await note([replace(started, owner=OWNER)])
        try:
            for _ in range(MAX_RESUMES):
                await runner.run()
                if turn.state.status != "awaiting_input":
                    break
                await note(await self._answers(turn))
        except Missing as missing:
            return RerunTurn(events=[one.event for one in log], missing=missing.call)
        except NotRecorded:
            pass
        return RerunTurn(events=[one.event for one in log])

    def _parts(self, started: TurnStarted, events: Sequence[Event]) -> TurnParts:
        agent = self._scenario.agent(config_of(self._record, started))
        tools = self._scenario.tools(tools_of(self._record, events))
        for tool in tools:
            if tool.name in self.outside.live and not tool.repeatable:
                raise Unreplayable(
                    f"the tool {tool.name!r} is not declared repeatable, so it must not be called live"
                )
        parts = parts_of(agent, tools, events)
        if self.outside.model is not None:
            provider, model = self.outside.model
            parts = replace(parts, provider=provider, model=model)
        return parts

    async def _answers(self, turn: RunningTurn) -> list[Event]:
        """Returns the events that continue a waiting turn, from the record. Raises Missing."""
        state = turn.state
        if state.open_tool_step is not None:
            decisions = [self._decision(one.asked) for one in undecided(state.requests)]
            return [TurnResumed(owner=OWNER), *decisions]
        responses = [await self.response(call) for call in turns.awaited_calls(state)]
        return turns.resume(state, responses, OWNER, new_id())

    def _decision(self, asked: TurnInputRequested) -> TurnInputReceived:
        known = self.results.decision(asked)
        if known is None:
            raise Missing(ToolCall(asked.call_id, asked.tool_name, asked.arguments))
        return replace(known, request_id=asked.request_id, call_id=asked.call_id)

    async def response(self, call: ToolCall) -> ToolResponse:
        """Returns the response to a call of a client's tool. Raises Missing."""
        known = self.results.response(call)
        if known is not None:
            return replace(known, call_id=call.call_id)
        content: Content = await self.otherwise(call)
        return ToolResponse(call.call_id, call.tool_name, content)

    async def otherwise(self, call: ToolCall) -> str:
        """Returns what takes the place of a result that is not recorded. Raises Missing."""
        if self.outside.unrecorded == "error":
            return "Error: the tool is not available."
        if self.outside.unrecorded == "simulate" and self.outside.simulate is not None:
            return await self.outside.simulate(call, self.results.examples(call.tool_name, 3))
        raise Missing(call)


class _Effects:
    """Implements `Effects` for one turn of a rerun."""

    def __init__(self, rerun: Rerun, events: Sequence[Event]) -> None:
        self._rerun = rerun
        self._running: dict[str, deque[Outcome]] = {}
        done = [event for event in events if isinstance(event, TurnStepCompleted)]
        self._answers = deque(step for step in done if step.step_type == "inference")
        self._retrievals = deque(step for step in done if step.step_type == "memory_retrieval")
        self._verdicts = deque(step for step in done if step.step_type == "shield_call")
        self._judging: tuple[str, Violation | None] = ("", None)

    def now_ms(self) -> float:
        return 0.0

    def now_us(self) -> int:
        return 0

    def new_id(self) -> str:
        return new_id()

    async def infer(
        self,
        provider: InferenceProvider,
        request: InferenceRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> AsyncGenerator[InferenceEvent, None]:
        outside = self._rerun.outside
        self._rerun.answers += 1
        if outside.model is not None and self._rerun.answers > outside.recorded_answers:
            events = provider.infer(request, headers={})
            try:
                async for event in events:
                    yield event
            finally:
                await events.aclose()
            return
        if not self._answers:
            raise NotRecorded
        step = self._answers.popleft()
        output = step.withheld or step.output
        assert output is not None
        yield Opened()
        for chunk in chunks_of(output, step.trace if step.withheld is None else None):
            yield chunk
        yield Finished(FINISH_REASONS.get(output.stop_reason, "stop"), step.usage or TurnUsage())

    async def retrieve(
        self, query: str, documents: Sequence[Text], labels: Mapping[str, str]
    ) -> list[Passage]:
        return passages_of(self._retrievals.popleft(), documents) if self._retrievals else []

    async def check(self, shield: Shield, request: ShieldRequest, touchpoint: str) -> Violation | None:
        step_id = request.labels.get("step_id", "")
        if self._judging[0] != step_id:
            self._judging = (step_id, self._verdicts.popleft().violation if self._verdicts else None)
        return objection_of(shield, self._judging[1])

    async def call_tool(
        self,
        tool: ServerTool,
        call_id: str,
        request: ToolRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> ToolResult | Suspended:
        arguments = msgspec.json.encode(request.arguments).decode()
        outside = self._rerun.outside
        if tool.name in outside.live and outside.call_live is not None:
            return await outside.call_live(tool.name, arguments)
        if call_id not in self._running:
            known = self._rerun.results.next_call(tool.name, arguments)
            if known is None:
                text = await self._rerun.otherwise(ToolCall(call_id, tool.name, arguments))
                return ToolResult(content=text, is_error=outside.unrecorded == "error")
            self._running[call_id] = known
        outcomes = self._running[call_id]
        if not outcomes:
            raise Missing(ToolCall(call_id, tool.name, arguments))
        return outcome_of(outcomes.popleft())
