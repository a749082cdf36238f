"""Turns with tools of the server, run over a script with a crash at a chosen point. The toolgroup, the model and the log
are fakes at the edge of a unit test; the domain, the runner and its tool step are the real ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from itertools import count
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from schemas.events.agent import AgentCreated
from schemas.events.base import Event
from schemas.events.payload import AgentConfig, InputMessage, ToolDef, ToolResponse, TurnUsage, Violation
from schemas.events.turn import Owner, TurnStarted, TurnToolCalled, TurnToolReturned
from stack.domain import turn as turns
from stack.domain.stream_position import BEGINNING
from stack.eventstore import EventStore, Recorded
from stack.eventstore.codec import Codec
from stack.providers.inference.demo_extractive import DemoExtractive
from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    InferenceProvider,
    InferenceRequest,
    Opened,
    TextChunk,
    ToolCallChunk,
)
from stack.providers.shields.port import Shield, ShieldRequest
from stack.providers.tools.port import (
    NestedCall,
    Suspended,
    ToolDefinition,
    ToolQuestion,
    ToolRequest,
    ToolResult,
)
from stack.providers.tools.registry import Configured
from stack.providers.tools.settings import ApprovalRule, ToolGroupSettings
from stack.services.effects import Captured
from stack.services.replay.check import check
from stack.services.replay.session_record import SessionRecord
from stack.services.tools.tool_set import ServerTool, ToolSet
from stack.services.turns.conversation import History
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn_frames import TurnFrames
from stack.services.turns.turn_plan import TurnParts, TurnPlan, plan_of
from stack.services.turns.turn_runner import Closes, TurnRunner

OWNER = Owner("node", "boot")
BEGINS_US = 1_700_000_000_000_000
NO_LOG = cast(EventStore, None)
CODEC = Codec()
TOOLS = ("send", "look", "ask", "code", "break")


class Crash(BaseException):
    """The process ends here."""


class Crashes:
    """Counts the points at which the process could end, and ends it at one of them."""

    def __init__(self, at: int = 0) -> None:
        self.passed = 0
        self.at = at

    async def point(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            raise Crash
        await asyncio.sleep(0)


class Tools:
    """A toolgroup. `ran` counts the effects of `send` by idempotency key: they outlive a crash."""

    id = "mcp::fake"
    provider_id = "fake"

    def __init__(self, crashes: Crashes) -> None:
        self.crashes = crashes
        self.ran: Counter[str] = Counter()
        self.requests: list[ToolRequest] = []

    async def tools(self, args: Mapping[str, Any]) -> Sequence[ToolDefinition]:
        schema = {"type": "object", "properties": {"to": {"type": "string"}}}
        return [
            ToolDefinition(name=name, input_schema=schema, repeatable=name in ("look", "code"))
            for name in TOOLS
        ]

    async def call(self, request: ToolRequest) -> ToolResult | Suspended:
        self.requests.append(request)
        await self.crashes.point()
        match request.tool:
            case "send":
                self.ran[request.key] += 1
                await self.crashes.point()
                return ToolResult(content=f"sent to {request.arguments.get('to')}")
            case "look":
                return ToolResult(content="sunny", metadata={"n": 1})
            case "ask" if request.state is None:
                question = ToolQuestion(message="Which folder?", request={"schema": {"type": "object"}})
                return Suspended(state="waiting", question=question)
            case "ask":
                assert request.state is not None and request.answer is not None
                if request.arguments.get("to") == "twice" and request.state == "waiting":
                    question = ToolQuestion(message="Really?", request={"schema": {"type": "object"}})
                    return Suspended(state="again", question=question)
                self.ran[request.key] += 1
                await self.crashes.point()
                return ToolResult(content=f"{request.answer.action}: {request.answer.content}")
            case "code":
                done = [] if request.state is None else msgspec.json.decode(request.state)
                done = [*done, *(result.content for result in request.results)]
                state = msgspec.json.encode(done).decode()
                if not done:
                    both = [NestedCall(tool="send", arguments={"to": to}) for to in ("ann", "bob")]
                    return Suspended(state=state, calls=both)
                if len(done) == 2:
                    return Suspended(state=state, calls=[NestedCall(tool="look", arguments={})])
                return ToolResult(content=" ".join(done))
        return ToolResult(content="it broke", is_error=True)

    async def aclose(self) -> None:
        pass


class World:
    """The effects port: a model that makes each list of `(tool, arguments)` once, then says "Done."."""

    def __init__(self, script: Sequence[Sequence[tuple[str, str]]], crashes: Crashes, turn: Turning) -> None:
        self._script = script
        self._crashes = crashes
        self._turn = turn

    def now_ms(self) -> float:
        return 0.0

    def now_us(self) -> int:
        return BEGINS_US

    def new_id(self) -> str:
        return f"id-{next(self._turn.ids)}"

    async def call_tool(
        self,
        tool: ServerTool,
        call_id: str,
        request: ToolRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> ToolResult | Suspended:
        return await tool.configured.group.call(request)

    async def check(self, shield: Shield, request: ShieldRequest, touchpoint: str) -> Violation | None:
        await self._crashes.point()
        verdict = self._turn.judged(touchpoint, request.texts)
        await self._crashes.point()
        return verdict

    async def infer(
        self,
        provider: InferenceProvider,
        request: InferenceRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> AsyncGenerator[InferenceEvent, None]:
        await self._crashes.point()
        yield Opened()
        done = self._turn.state.inferences
        if done >= len(self._script):
            yield TextChunk("Done.")
            yield Finished("stop", TurnUsage(1, 1))
            return
        for index, (tool, arguments) in enumerate(self._script[done]):
            yield ToolCallChunk(index, f"call_{done}_{index}", tool, arguments)
        yield Finished("tool_calls", TurnUsage(1, 1))


class Guard:
    """A shield that is asked through the effects port only."""

    id = kind = "guard"
    resource = ""
    timeout_s = 1.0

    async def check(self, request: ShieldRequest) -> Violation | None:
        raise AssertionError("the effects port asks shields")


Verdict = Callable[[str, list[str]], Violation | None]
"""Judges the texts of a touchpoint."""


class Turning:
    """A turn over a log in memory: run, crashed and restarted, resumed. With a `verdict` it has input and output shields;
    `asked` holds what they were asked."""

    def __init__(
        self,
        script: Sequence[Sequence[tuple[str, str]]],
        crash_at: int = 0,
        approval: Sequence[ApprovalRule] = (),
        verdict: Verdict | None = None,
    ) -> None:
        self.verdict = verdict
        self.asked: list[tuple[str, list[str]]] = []
        self.crashes = Crashes(crash_at)
        self.tools = Tools(self.crashes)
        self.settings = ToolGroupSettings(id="mcp::fake", approval=list(approval))
        self.script = script
        self.events: list[tuple[Event, int, int]] = []
        self.boots = 0
        self.ids = count(1)
        self.tools_gone_after_a_crash = False

    @property
    def agent(self) -> AgentConfig:
        shields = ["guard"] if self.verdict else None
        return AgentConfig(
            model="demo/m",
            instructions="",
            max_infer_iters=10,
            client_tools=[ToolDef(name="weather")],
            toolgroups=["mcp::fake"],
            input_shields=shields,
            output_shields=shields,
        )

    @property
    def record(self) -> SessionRecord:
        """The session of the turn as it is in the log."""
        turn = [Recorded(version, version, at, event) for event, at, version in self.events]
        created = Recorded(0, 1, BEGINS_US, AgentCreated(config=self.agent))
        return SessionRecord(
            agent_id="a", session_id="s", agents={"a": [created]}, session=[], turns={"turn-1": turn}
        )

    @property
    def state(self) -> turns.TurnState:
        return self.turn.state

    def judged(self, touchpoint: str, texts: list[str]) -> Violation | None:
        assert self.verdict is not None
        self.asked.append((touchpoint, texts))
        return self.verdict(touchpoint, texts)

    def log(self, *events: Event) -> None:
        """Appends events as a request does."""
        for event in events:
            version = len(self.events) + 1
            self.events.append((event, BEGINS_US + 1_001 * version, version))
            self.turn.publish([event], [BEGINS_US + 1_001 * version])

    async def _record(self, events: Sequence[Event], closes: Closes = "") -> None:
        await self.crashes.point()
        recorded, self.turn.outcomes = [*self.turn.outcomes, *events], []
        self.log(*recorded)
        await self.crashes.point()

    def boot(self) -> None:
        """Loads what is in the log, as the next process does."""
        self.boots += 1
        self.turn = RunningTurn(NO_LOG, "s", "turn-1")
        for event, recorded_at, _ in self.events:
            stored = CODEC.decode(*CODEC.encode(event), lambda state: state)
            self.turn.publish([stored], [recorded_at])

    async def _run(self) -> None:
        gone = self.tools_gone_after_a_crash and self.boots > 1
        listed = [] if gone else await self.tools.tools({})
        slots = asyncio.Semaphore(self.settings.max_concurrent)
        configured = Configured(self.tools, self.settings, slots)
        shields = [Guard()] if self.verdict else []
        parts = TurnParts(
            agent=self.agent,
            provider=DemoExtractive(),
            model="m",
            tools=ToolSet(
                self.agent.client_tools or (),
                [ServerTool(name=one.name, definition=one, configured=configured) for one in listed],
            ),
            input_shields=shields,
            output_shields=shields,
        )

        async def prepare() -> TurnPlan:
            return await plan_of(self.turn, parts, History(), ())

        await TurnRunner(self.turn, prepare, World(self.script, self.crashes, self), self._record).run()

    def run(self) -> turns.TurnState:
        """Runs the turn until it ends or waits, restarting it after the crash."""
        return asyncio.run(self._until_it_waits())

    async def _until_it_waits(self) -> turns.TurnState:
        if not self.events:
            self.boot()
            question = InputMessage(role="user", content="What?")
            started = TurnStarted(
                session_id="s", agent_id="a", owner=OWNER, input_messages=[question], agent_version=1
            )
            self.log(replace(started, input_shields=["guard"] if self.verdict else None))
        while self.state.status == "running":
            try:
                await self._run()
            except Crash:
                self.boot()
                if self.state.status == "running":
                    self.log(*turns.restart(self.state, OWNER))
        return self.state

    def answer(self, **responses: tuple[str, dict[str, Any] | None]) -> turns.TurnState:
        """Resumes with the responses `(content, metadata)` to calls, by id."""
        given = [
            ToolResponse(call_id, self._name(call_id), content, metadata)
            for call_id, (content, metadata) in responses.items()
        ]
        self.log(*turns.resume(self.state, given, OWNER, "resumed-step"))
        return self.run()

    def _name(self, call_id: str) -> str:
        return next(call.tool_name for call in turns.awaited_calls(self.state) if call.call_id == call_id)

    def responses(self) -> dict[str, object]:
        """The content of each response that the model has seen, by call."""
        steps = [step for step in self.state.finished_steps if step.step_type == "tool_execution"]
        return {one.call_id: one.content for step in steps for one in step.tool_responses}

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event, _, _ in self.events if isinstance(event, kind)]

    def check(self) -> None:
        """Checks every log: no undeclared tool ran twice, every intent has one outcome, a replay is the
        stream, and the turn run again is identical."""
        assert all(times == 1 for times in self.tools.ran.values()), self.tools.ran
        returned = Counter(event.call_id for event in self.of(TurnToolReturned))
        called = {event.call_id for event in self.of(TurnToolCalled)}
        assert all(times == 1 for times in returned.values())
        if self.state.completed_at:
            assert called <= returned.keys()
        frames = TurnFrames("turn-1")
        again = [
            frame
            for event, recorded_at, version in self.events
            for frame in frames.apply(event, recorded_at, version, live=False)
        ]
        assert frames.state == self.state
        report = asyncio.run(check(self.record)).report
        assert report.verdict == "identical", report.first
        if self.boots == 1:
            assert [one.body for one in again] == [one.body for one in self.turn.live.after(BEGINNING)]
