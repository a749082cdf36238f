"""Drives the turns of this process: starts their runs, records what they do, ends them in time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import AgentConfig
from stack.domain import session as sessions
from stack.domain.tool import tool_config
from stack.errors import NotFound, Unavailable, VersionConflict
from stack.eventstore import Append, EventStore, StreamWrite, stream_name
from stack.providers.inference.port import InferenceProvider
from stack.services.effects import Effects
from stack.services.requests.caller import Caller
from stack.services.requests.uninterrupted import uninterrupted
from stack.services.state import States
from stack.services.supervisor import Supervisor
from stack.services.turns.conversation import (
    Conversations,
    Messages,
    digested,
    questions_for,
    system_message,
    tools_of,
)
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.tool_spans import NOT_EXECUTED, measure_tools, show_tools
from stack.services.turns.turn_runner import Closes, Superseded, TurnPlan, TurnRunner
from telemetry.own import conventions as names
from telemetry.own.signals import Signals

logger = logging.getLogger("replaystack.turn")

RECORD_RETRY_S = (0.05, 0.2, 1.0, 2.0)


class TurnLimits(Struct, frozen=True, kw_only=True):
    """Settings of the same names."""

    turn_deadline_s: float = 1800.0
    restart_limit: int = 3
    restart_max_age_h: float = 24.0
    max_running_turns: int = 256


Resolve = Callable[[], Awaitable[tuple[InferenceProvider, str]]]
"""Gives the provider of the agent's model and the model's name there."""


class TurnDriver:
    """`running` holds the turns that this process runs now, by id."""

    def __init__(
        self,
        store: EventStore,
        states: States,
        conversations: Conversations,
        effects: Effects,
        supervisor: Supervisor,
        signals: Signals,
        limits: TurnLimits,
    ) -> None:
        self._store = store
        self._states = states
        self._conversations = conversations
        self._effects = effects
        self._supervisor = supervisor
        self._tracing = signals.tracing
        self._invocations = signals.invocations
        self._limits = limits
        self._closing = False
        self.running: dict[str, RunningTurn] = {}

    @property
    def closing(self) -> bool:
        """No turn begins any more: the server is shutting down."""
        return self._closing

    def refuse_if_full(self) -> None:
        """Raises Unavailable when no further turn can run."""
        if self._closing or len(self.running) >= self._limits.max_running_turns:
            raise Unavailable(f"{len(self.running)} turns are running; try again.", retry_after=2)

    def launch(
        self,
        turn: RunningTurn,
        agent: AgentConfig,
        resolve: Resolve,
        caller: Caller,
        brought: Sequence[Event] = (),
    ) -> None:
        """Starts the run of an open turn in the background. `brought` is what the request recorded that makes it
        run: its spans are the turn's."""

        async def prepare() -> TurnPlan:
            provider, model = await resolve()
            session = await self._states.session(turn.state.agent_id, turn.session_id)
            history = await self._conversations.before(turn.session_id, session.state, turn.turn_id)
            config = tool_config(agent, turn.state.tool_config)
            instructions = digested(system_message(agent, config))
            questions = await questions_for(turn.state, history.pending)
            return TurnPlan(
                agent=agent,
                provider=provider,
                model=model,
                context=Messages(
                    [*instructions.encoded, *history.messages, *questions.encoded],
                    b"".join((instructions.digests, history.digests, questions.digests)),
                ),
                tools=tools_of(agent),
                tool_names=frozenset(tool.name for tool in agent.client_tools or ()),
                tool_choice=config.tool_choice,
                labels=_labels(turn),
            )

        async def record(events: Sequence[Event], closes: Closes) -> None:
            await self._record(turn, caller.stamp(events), closes)
            # A tool of the client brings its result with a request: what is answered here was not executed.
            show_tools(self._tracing, events, _labels(turn), NOT_EXECUTED)
            if turn.invocation is not None:
                measure_tools(turn.invocation, turn.state, events, executed=False)

        turn.runner = TurnRunner(prepare, turn.frames, turn.live, self._effects, record)
        self.running[turn.turn_id] = turn
        turn.task = self._supervisor.spawn(f"turn {turn.turn_id}", self._traced(turn, agent, caller, brought))

    async def _traced(
        self, turn: RunningTurn, agent: AgentConfig, caller: Caller, brought: Sequence[Event]
    ) -> None:
        attributes = {
            **_labels(turn),
            names.GEN_AI_OPERATION_NAME: names.INVOKE_AGENT,
            names.GEN_AI_AGENT_ID: turn.state.agent_id,
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
            show_tools(self._tracing, brought, _labels(turn))
            measure_tools(turn.invocation, turn.state, brought)
            await self._drive(turn)
            if turn.state.error is not None:
                span.fail(str(turn.state.error.status))
                turn.invocation.failed(str(turn.state.error.status))
            turn.invocation.ended = turn.state.status in ("completed", "failed", "awaiting_input")

    async def _drive(self, turn: RunningTurn) -> None:
        assert turn.runner is not None
        age_s = time.time() - turn.state.running_since / 1e6
        deadline_s = self._limits.turn_deadline_s
        timer = asyncio.get_running_loop().call_later(
            max(0.0, deadline_s - age_s),
            turn.request_stop,
            "deadline",
            f"The turn did not end within its deadline of {deadline_s:g} s.",
        )
        try:
            try:
                turn.begun = True
                if turn.stopping:
                    raise asyncio.CancelledError
                await turn.runner.run()
            except asyncio.CancelledError:
                turn.ending = True
                await turn.runner.stop(*(turn.stopping or ("parked", "")))
        except Superseded:
            logger.info("turn %s was ended by another request", turn.turn_id)
        finally:
            timer.cancel()
            turn.failure = turn.runner.failure
            del self.running[turn.turn_id]
            turn.live.end()
            if turn.state.completed_at:
                await self._remember(turn)

    async def _remember(self, turn: RunningTurn) -> None:
        try:
            session, _ = await self._states.session(turn.state.agent_id, turn.session_id)
        except NotFound:
            return
        self._conversations.add(turn.session_id, session, turn.turn_id, turn.state)

    async def _record(self, turn: RunningTurn, events: Sequence[Event], closes: Closes) -> None:
        """Appends, waiting out a log that cannot take events for the moment (a full disk)."""
        attempt = 0
        while True:
            try:
                await uninterrupted(self.append(turn, events, closes))
                return
            except Unavailable as error:
                if turn.stopping and not turn.ending:
                    # The stop came while the append was under way, and its refusal took the place of the stop.
                    raise asyncio.CancelledError from error
                logger.warning("turn %s waits for the event log: %s", turn.turn_id, error.detail)
                await asyncio.sleep(RECORD_RETRY_S[min(attempt, len(RECORD_RETRY_S) - 1)])
                attempt += 1
            except VersionConflict as error:
                raise Superseded from error

    async def append(self, turn: RunningTurn, events: Sequence[Event], closes: Closes) -> None:
        """Appends to the turn's stream and publishes the frames. Raises Superseded, VersionConflict when the
        turn is not open any more, Unavailable."""
        writes = [StreamWrite(stream_name("turn", turn.turn_id), turn.frames.version, events)]
        if closes:
            try:
                session = await self._states.session(turn.state.agent_id, turn.session_id)
            except NotFound as error:
                raise Superseded from error
            if session.state.open_turn != turn.turn_id:
                raise Superseded
            closed = sessions.close_turn(turn.turn_id, closes)
            writes.append(StreamWrite(stream_name("session", turn.session_id), session.version, closed))
        appended = await self._store.append(Append(tuple(writes)))
        turn.publish(events, appended.recorded_at[: len(events)])

    async def park(self, grace_s: float) -> None:
        """Lets running turns finish for `grace_s`, then leaves the rest open for the next start."""
        self._closing = True
        tasks = [turn.task for turn in self.running.values() if turn.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for turn in list(self.running.values()):
            turn.request_stop("parked", "The server is shutting down.")
        left = [turn.task for turn in self.running.values() if turn.task is not None]
        if left:
            await asyncio.wait(left)


def _labels(turn: RunningTurn) -> dict[str, str]:
    """What all spans of a turn carry: the names by which existing users filter, and the conventions'."""
    return {
        names.GEN_AI_CONVERSATION_ID: turn.session_id,
        "session_id": turn.session_id,
        "agent_id": turn.state.agent_id,
        "turn_id": turn.turn_id,
    }
