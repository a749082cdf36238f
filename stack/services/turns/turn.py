"""Creates, follows, and cancels turns, and takes them over after a crash.

A turn belongs to this service, not to the request that started it: the response, and any later reader,
follows it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from projections import turn as turn_views
from projections.turn import TurnView
from schemas.api.turn import CreateAgentTurnRequest, ResumeAgentTurnRequest
from schemas.events.base import Event
from schemas.events.payload import AgentConfig, TurnError
from schemas.events.turn import TurnAbandoned, TurnCancelled, TurnFailed, TurnResumed, TurnStarted
from stack.domain import agent as agents
from stack.domain import payload
from stack.domain import session as sessions
from stack.domain import turn as turns
from stack.domain import turn_session as turn_sessions
from stack.domain.stream_position import StreamPosition
from stack.domain.tool import check_tool_config
from stack.domain.tool_call import decide, undecided
from stack.domain.turn import TurnState
from stack.errors import Conflict, NotFound, VersionConflict
from stack.eventstore import Append, EventStore, Expect, StreamWrite, stream_name
from stack.providers.inference.registry import Models
from stack.services.effects import Effects
from stack.services.requests.caller import SYSTEM, Caller
from stack.services.state import States
from stack.services.turns.content import ContentLoader
from stack.services.turns.conversation import is_in_history, left_open
from stack.services.turns.running_turn import LAST_FRAME, RunningTurn
from stack.services.turns.turn_driver import TurnDriver
from stack.services.turns.turn_frames import outcome_wire, turn_wire
from stack.services.turns.turn_plan import check_capabilities
from stack.services.views import Views

READ = ("agent", "session", "turn")
CREATE_ATTEMPTS = 5
AGENT_ATTEMPTS = 50


class Decision(Struct, frozen=True, kw_only=True):
    """A decision on a call. `decision` may also be expired."""

    session_id: str
    turn_id: str
    call_id: str
    request_id: str
    decision: str
    reason: str = ""
    content: dict[str, Any] | None = None


class TurnService:
    def __init__(
        self,
        store: EventStore,
        states: States,
        views: Views,
        models: Models,
        effects: Effects,
        driver: TurnDriver,
        content: ContentLoader,
    ) -> None:
        self._store = store
        self._states = states
        self._views = views
        self._models = models
        self._effects = effects
        self._driver = driver
        self._content = content
        self._runs = driver.runs
        self._owner = driver.runs.ownership.own

    @property
    def running(self) -> int:
        return len(self._runs.running)

    async def create(
        self,
        agent_id: str,
        session_id: str,
        request: CreateAgentTurnRequest,
        caller: Caller,
        command: str,
        agent_version: int = 0,
    ) -> RunningTurn:
        """Opens a turn and runs it in the background, with this version of the agent (0: the newest). Returns once
        `turn.started` is durable.

        Raises NotFound, Invalid (also for an unknown model), Conflict while a turn is open, Unavailable, and
        UpstreamFailed or UpstreamTimeout if the content of a URL in the input cannot be fetched.
        """
        for _ in range(AGENT_ATTEMPTS):
            self._driver.refuse_if_full()
            newest = await self._states.agent_version(agent_id)
            version = agent_version or newest
            agent = await self._states.agent_at(agent_id, version)
            started, turn = await self._prepared(agent_id, session_id, request, agent)
            started = replace(started, agent_version=version)
            with self._runs.opening(turn.stream):
                try:
                    opened_at = await self._open(turn, started, newest, caller, command)
                except VersionConflict:
                    continue
                turn.publish([started], [opened_at])
                self._driver.launch(turn, agent, caller)
            return turn
        raise Conflict(f"Agent {agent_id!r} is busy: it is updated again and again. Try again.")

    async def _prepared(
        self, agent_id: str, session_id: str, request: CreateAgentTurnRequest, agent: AgentConfig
    ) -> tuple[TurnStarted, RunningTurn]:
        """Returns the first event of a turn that can be run, and the turn."""
        await self._states.session(agent_id, session_id)
        agents.check_toolgroups(request.toolgroups, self._driver.plans.toolgroups.groups, "toolgroups")
        self._driver.plans.shields_of(agent)
        provider, _ = await self._models.resolve(agent.model)
        check_capabilities(agent, provider)
        names = {tool.name for tool in agent.client_tools or ()}
        has_groups = bool(agent.toolgroups or request.toolgroups)
        check_tool_config(request.tool_config, None if has_groups else names, "tool_config")
        messages = [payload.input_message(message) for message in request.messages]
        documents = [payload.document(document) for document in request.documents or ()]
        fetched = await self._content.load(messages, documents, provider)
        started = TurnStarted(
            session_id=session_id,
            agent_id=agent_id,
            owner=self._owner,
            input_messages=messages,
            stream=bool(request.stream),
            documents=documents or None,
            toolgroups=payload.toolgroups(request.toolgroups) or None,
            tool_config=payload.tool_config(request.tool_config),
            fetched=fetched or None,
            input_shields=agent.input_shields or None,
        )
        return started, RunningTurn(self._store, session_id, self._effects.new_id())

    async def _open(
        self, turn: RunningTurn, started: TurnStarted, newest: int, caller: Caller, command: str
    ) -> int:
        """Opens the turn in its session; a turn that awaits input there is closed as abandoned. Returns when it was
        recorded, in microseconds since 1970. Raises VersionConflict if the agent has another version than `newest`."""
        agent_id, session_id, turn_id = started.agent_id, started.session_id, turn.turn_id
        for _ in range(CREATE_ATTEMPTS):
            session, version = await self._states.session(agent_id, session_id)
            pending = await self._unanswered(session_id, session.turns, started)
            writes, closed = [], []
            if session.open_turn:
                waiting, waiting_version = await self._states.turn(session_id, session.open_turn)
                if waiting.status == "awaiting_input":
                    abandoned = TurnAbandoned(output_message=turns.produced(waiting))
                    stream = stream_name("turn", session.open_turn)
                    ended = [*turns.broken_off(waiting), abandoned]
                    writes.append(StreamWrite(stream, waiting_version, caller.stamp(ended)))
                    closed = sessions.close_turn(session.open_turn, "abandoned")
                    session = replace(session, open_turn="")
            events = [*closed, *sessions.open_turn(session, turn_id)]
            writes.append(StreamWrite(stream_name("session", session_id), version, caller.stamp(events)))
            started_events = caller.stamp(turns.start(started, pending))
            writes.append(StreamWrite(stream_name("turn", turn_id), 0, started_events))
            expects = (Expect(stream_name("agent", agent_id), newest),)
            try:
                appended = await self._store.append(Append(tuple(writes), expects=expects, command=command))
                return appended.recorded_at[-1]
            except VersionConflict:
                if await self._states.agent_version(agent_id) != newest:
                    raise
        raise Conflict(f"Session {session_id!r} is busy with other requests. Try again.")

    async def _unanswered(
        self, session_id: str, turn_ids: Sequence[str], started: TurnStarted
    ) -> Sequence[str]:
        """Returns the ids of the calls that the session left open, for input that answers some: those of the
        last turn in its history, however it ended."""
        if not any(message.role == "tool" for message in started.input_messages):
            return ()
        for turn_id in reversed(turn_ids):
            state, _ = await self._states.turn(session_id, turn_id)
            if is_in_history(state):
                return [call.call_id for call in left_open(state)]
        return ()

    async def resume(
        self,
        agent_id: str,
        session_id: str,
        turn_id: str,
        request: ResumeAgentTurnRequest,
        caller: Caller,
        command: str,
    ) -> tuple[RunningTurn, StreamPosition]:
        """Resumes a turn that awaits input. Returns it and the position after which its new frames begin.

        Raises NotFound, Conflict if the turn does not wait, Invalid unless the responses answer exactly the
        pending calls and all shields of the agent are configured, UpstreamFailed and UpstreamTimeout like `create`.
        """
        self._driver.refuse_if_full()
        await self._states.agent_version(agent_id)
        await self._states.session(agent_id, session_id)
        state, version = await self._states.turn(session_id, turn_id)
        turn_sessions.check_recorded_in(state, session_id)
        responses = [payload.tool_response(response) for response in request.tool_responses]
        turns.check_responses(state, responses)
        agent = await self._states.agent_of(state)
        self._driver.plans.shields_of(agent)
        provider, _ = await self._models.resolve(agent.model)
        fetched = await self._content.load_responses(responses, provider)
        step_id = self._effects.new_id()
        events = turns.resume(state, responses, self._owner, step_id, fetched)
        turn = RunningTurn(self._store, session_id, turn_id)
        turn.take_over(state, version)
        taken_up = "The turn was taken up by another request."
        await self._continue(turn, events, caller, command, taken_up, agent)
        return turn, StreamPosition(version, LAST_FRAME)

    async def decide(self, request: Decision, caller: Caller, command: str = "") -> None:
        """Records the decision on a call of a waiting turn, and continues the turn if nothing else is pending.

        Raises NotFound, Conflict if the turn does not wait for this decision, or not any longer, Invalid for a decision
        that the request's kind does not have, and Unavailable.
        """
        self._driver.refuse_if_full()
        state, version = await self._states.turn(request.session_id, request.turn_id)
        if state.status != "awaiting_input":
            raise Conflict(f"The turn does not wait for a decision; it is {state.status}.")
        asked = state.requests.get(request.call_id)
        if asked is None or asked.asked.request_id != request.request_id:
            raise Conflict("The turn no longer waits for this decision.")
        decision = request.decision
        is_late = asked.asked.deadline <= self._effects.now_us()
        if is_late:
            decision = "expired"
        content = None if is_late else request.content
        received = decide(asked, decision, "" if is_late else request.reason, content)
        others = [one for one in undecided(state.requests) if one is not asked]
        events = [received] if others else [TurnResumed(owner=self._owner), received]
        agent = await self._states.agent_of(state)
        turn = RunningTurn(self._store, request.session_id, request.turn_id)
        turn.take_over(state, version)
        decided = "Another decision came first. Read the approval again."
        await self._continue(turn, events, caller, command, decided, None if others else agent)
        if is_late and request.decision != "expired":
            raise Conflict("The deadline has passed, so the call was denied.")

    async def expire(self, request: Decision) -> None:
        """Refuses what was not decided in time, as `decide` does. A request that was imported with its session is left: its
        turn continues only when someone decides."""
        state, _ = await self._states.turn(request.session_id, request.turn_id)
        asked = state.requests.get(request.call_id)
        if asked is not None and asked.asked.occurred_at:
            session = await self._states.any_session(request.session_id)
            if request.turn_id in session.turns[: session.imported]:
                return
        await self.decide(request, SYSTEM)

    async def _continue(
        self,
        turn: RunningTurn,
        events: Sequence[Event],
        caller: Caller,
        command: str,
        conflict: str,
        agent: AgentConfig | None,
    ) -> None:
        """Records what a waiting turn was given, and runs it as `agent`, if given. Raises Conflict, with the text
        `conflict`, if the turn has changed since it was read."""
        with self._runs.opening(turn.stream):
            try:
                write = StreamWrite(turn.stream, turn.version, caller.stamp(events))
                appended = await self._store.append(Append((write,), command=command))
            except VersionConflict:
                raise Conflict(conflict) from None
            turn.publish(events, appended.recorded_at)
            if agent is not None:
                self._driver.launch(turn, agent, caller, events)

    async def attach(self, session_id: str, turn_id: str) -> RunningTurn:
        """Returns the turn to follow: the running one, or its record if this process does not run it. Raises
        NotFound."""
        record = RunningTurn(self._store, session_id, turn_id)

        async def is_open() -> bool:
            await record.load()
            await self._identify(record)
            return record.is_open

        turn = await self._runs.attach(record.stream, is_open)
        if turn is None:
            record.live.end()
            return record
        if turn.state.session_id != session_id:
            raise turn_sessions.unknown(session_id, turn_id)
        return turn

    def driven(self, turn_id: str) -> RunningTurn | None:
        """Returns the turn if this process runs it now."""
        return self._runs.running.get(stream_name("turn", turn_id))

    async def show(self, agent_id: str, session_id: str, turn_id: str, as_of: int | None = None) -> TurnView:
        """Returns the turn; one with damaged events as far as the others allow. Raises NotFound."""
        view = await self._views.read(READ, turn_views.get, agent_id, session_id, turn_id, as_of)
        failed = self._views.failed_streams()
        if failed and (view is None or stream_name("turn", turn_id) in failed):
            await self._states.session(agent_id, session_id, as_of)
            state, _ = await self._states.turn(session_id, turn_id, as_of)
            return TurnView(turn_wire(turn_id, state), outcome_wire(state))
        if view is None:
            raise NotFound(f"There is no turn {turn_id!r} in session {session_id!r}.")
        return view

    async def resumed_at(self, session_id: str, turn_id: str, position: int) -> StreamPosition:
        """Returns where the stream of a resume began, given the position of its first event in the log."""
        before = 0
        stream = stream_name("turn", turn_id)
        for recorded in await self._store.read_stream(stream, takes_damaged=True):
            if recorded.position < position:
                before = recorded.version
        return StreamPosition(before, LAST_FRAME)

    async def _identify(self, turn: RunningTurn) -> None:
        """Adds the owner of a turn whose first event is damaged. Raises NotFound unless its session has the turn."""
        if turn.state.session_id != turn.session_id:
            state, _ = await self._states.turn(turn.session_id, turn.turn_id)
            turn.frames.state = replace(turn.state, session_id=state.session_id, agent_id=state.agent_id)

    async def cancel(self, session_id: str, turn_id: str, reason: str) -> TurnState:
        """Ends a running turn; one that has ended is not changed. Returns the state. Raises NotFound, and Conflict for a
        turn that another session recorded."""
        turn = await self.attach(session_id, turn_id)
        turn_sessions.check_recorded_in(turn.state, session_id)
        turn.request_stop("cancelled", reason)
        await turn.ended()
        waits = turn.state.status == "awaiting_input"
        if waits or (turn.task is None and not turn.state.completed_at):
            return await self._cancel_idle(turn, reason)
        return turn.state

    async def _cancel_idle(self, turn: RunningTurn, reason: str) -> TurnState:
        """Ends a turn that no process runs, in the state at which it was attached."""
        session_id, turn_id = turn.session_id, turn.turn_id
        state, version = turn.state, turn.version
        _, session_version = await self._states.session(state.agent_id, session_id)
        cancelled = TurnCancelled(reason=reason, output_message=turns.produced(state))
        closed = sessions.close_turn(turn_id, "cancelled")
        writes = (
            StreamWrite(turn.stream, version, SYSTEM.stamp([*turns.broken_off(state), cancelled])),
            StreamWrite(stream_name("session", session_id), session_version, SYSTEM.stamp(closed)),
        )
        try:
            await self._store.append(Append(writes))
        except VersionConflict:
            return await self.cancel(session_id, turn_id, reason)
        return (await self._states.turn(session_id, turn_id)).state

    async def recover(self) -> None:
        """Takes over the turns that the last process left open: continues them, or closes them as
        interrupted."""
        await self._runs.recover(self._open_turns, self._take_up)

    async def _open_turns(self) -> list[RunningTurn]:
        found = await self._views.read(("session", "turn"), turn_views.open_turns)
        return [RunningTurn(self._store, one.session_id, one.turn_id) for one in found]

    async def _take_up(self, turn: RunningTurn) -> None:
        await self._identify(turn)
        state, limits = turn.state, self._driver.limits
        if state.is_damaged:
            await self._interrupt(turn, "Events of the turn are damaged, so it was not continued.")
            return
        age_h = (time.time() - state.running_since / 1e6) / 3600
        if state.attempt > limits.restart_limit or age_h > limits.restart_max_age_h:
            await self._interrupt(turn, "The turn was interrupted and is too old or was restarted too often.")
            return
        agent = await self._states.agent_of(state)
        caller = replace(SYSTEM, trace_id=state.trace_id)
        await self._driver.record(turn, caller, turns.restart(state, self._owner), "")
        self._driver.launch(turn, agent, caller)

    async def _interrupt(self, turn: RunningTurn, reason: str) -> None:
        error = TurnError(500, "Internal Server Error", reason)
        failed = TurnFailed(error=error, output_message=turns.produced(turn.state))
        await self._driver.record(turn, SYSTEM, [*turns.broken_off(turn.state), failed], "failed")
