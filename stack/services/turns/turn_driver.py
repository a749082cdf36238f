"""Drives the turns of this process: starts their runs, records their events, ends them in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import AgentConfig
from stack.domain import session as sessions
from stack.errors import NotFound, Unavailable
from stack.eventstore import StreamWrite, stream_name
from stack.runs.runs import Runs, Superseded
from stack.services.effects import Effects
from stack.services.requests.caller import Caller
from stack.services.state import States
from stack.services.tools.tool_spans import NOT_EXECUTED, measure_tools, show_tools
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn_plan import TurnPlans, labels_of
from stack.services.turns.turn_runner import Closes, TurnRunner
from telemetry.own import conventions as names
from telemetry.own.signals import Signals


class TurnLimits(Struct, frozen=True, kw_only=True):
    """The settings with the same names."""

    turn_deadline_s: float = 1800.0
    restart_limit: int = 3
    restart_max_age_h: float = 24.0
    max_running_turns: int = 256


class TurnDriver:
    """`runs` holds the turns that this process runs now."""

    def __init__(
        self,
        runs: Runs[RunningTurn],
        states: States,
        plans: TurnPlans,
        effects: Effects,
        signals: Signals,
        limits: TurnLimits,
    ) -> None:
        self.runs = runs
        self.limits = limits
        self._states = states
        self.plans = plans
        self._effects = effects
        self.on_waiting: Callable[[RunningTurn], None] = lambda turn: None
        """Called when a turn begins to wait for input."""
        self._tracing = signals.tracing
        self._invocations = signals.invocations

    def refuse_if_full(self) -> None:
        """Raises Unavailable if no further turn can run."""
        running = len(self.runs.running)
        if self.runs.closing or running >= self.limits.max_running_turns:
            raise Unavailable(f"{running} turns are running; try again.", retry_after=2)

    def launch(
        self, turn: RunningTurn, agent: AgentConfig, caller: Caller, request_events: Sequence[Event] = ()
    ) -> None:
        """Starts the run of an open turn in the background. `request_events` are the events that the request
        recorded: their spans belong to the turn."""
        self.runs.launch(turn, self._traced(turn, agent, caller, request_events))

    async def _traced(
        self, turn: RunningTurn, agent: AgentConfig, caller: Caller, request_events: Sequence[Event]
    ) -> None:
        attributes = {
            **labels_of(turn),
            names.GEN_AI_OPERATION_NAME: names.INVOKE_AGENT,
            names.GEN_AI_AGENT_ID: turn.state.agent_id,
            names.GEN_AI_AGENT_VERSION: str(turn.state.agent_version or 1),
            names.GEN_AI_REQUEST_MODEL: agent.model,
        }
        if agent.name:
            attributes[names.GEN_AI_AGENT_NAME] = agent.name
        provider, named, _ = agent.model.partition("/")
        if named:
            attributes[names.GEN_AI_PROVIDER_NAME] = provider
        name = f"{names.INVOKE_AGENT} {agent.name or turn.state.agent_id}"
        with (
            self._tracing.span(
                name, attributes=attributes, traceparent=caller.traceparent, tracestate=caller.tracestate
            ) as span,
            self._invocations.begin(agent.name or "", agent.model) as turn.invocation,
        ):
            show_tools(
                self._tracing,
                request_events,
                labels_of(turn),
                shows_results=not turn.state.input_shields,
            )
            measure_tools(turn.invocation, turn.state, request_events)
            await self._drive(turn, agent, caller)
            if turn.state.error is not None:
                span.fail(str(turn.state.error.status))
                turn.invocation.failed(str(turn.state.error.status))
            turn.invocation.ended = turn.state.status in ("completed", "failed", "awaiting_input")

    async def _drive(self, turn: RunningTurn, agent: AgentConfig, caller: Caller) -> None:
        age_s = time.time() - turn.state.running_since / 1e6
        deadline_s = self.limits.turn_deadline_s
        timer = asyncio.get_running_loop().call_later(
            max(0.0, deadline_s - age_s),
            turn.request_stop,
            "deadline",
            f"The turn did not end within its deadline of {deadline_s:g} s.",
        )
        prepare, record = partial(self.plans.prepare, turn, agent), partial(self.record, turn, caller)
        runner = TurnRunner(turn, prepare, self._effects, record)
        try:
            await self.runs.drive(turn, runner.run, runner.stop)
        finally:
            timer.cancel()
            if turn.state.status == "awaiting_input":
                self.on_waiting(turn)
            if turn.state.completed_at:
                await self.plans.remember(turn)

    async def record(
        self, turn: RunningTurn, caller: Caller, events: Sequence[Event], closes: Closes
    ) -> None:
        """Records events of the turn. Raises Superseded."""
        closing = partial(self._closing, turn, closes) if closes else None
        await self.runs.record(turn, caller.stamp, events, closing)
        # A client's tool result arrives with a request: calls answered here were not executed.
        show_tools(self._tracing, events, labels_of(turn), NOT_EXECUTED, turn.state.calls)
        if turn.invocation is not None:
            measure_tools(turn.invocation, turn.state, events, executed=False)

    async def _closing(self, turn: RunningTurn, closes: str) -> Sequence[StreamWrite]:
        try:
            session = await self._states.session(turn.state.agent_id, turn.session_id)
        except NotFound as error:
            raise Superseded from error
        if session.state.open_turn != turn.turn_id:
            raise Superseded
        closed = sessions.close_turn(turn.turn_id, closes)
        return [StreamWrite(stream_name("session", turn.session_id), session.version, closed)]
