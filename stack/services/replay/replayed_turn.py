"""Runs a recorded turn again: today's runner, with the results that were recorded.

A turn's record is divided into parts. A part begins with what came from outside (the start, a resume, a decision, a
restart after a crash) and ends where the runner had nothing more to do, or was cut off. The runner is run over each part
from the recorded state at its beginning, so that a difference in one part does not hide the others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from schemas.events.base import Damaged, Event, Redacted
from schemas.events.turn import (
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnEffectSettled,
    TurnFailed,
    TurnInputReceived,
    TurnRestarted,
    TurnResumed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
    TurnToolCalled,
    TurnToolReturned,
    TurnToolsResolved,
)
from stack.domain import turn as turns
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.domain.turn_step import retrieval_in
from stack.errors import of_status
from stack.eventstore import Recorded
from stack.services.replay.comparison import plain_event
from stack.services.replay.recorded_effects import NotRecorded, RecordedEffects
from stack.services.replay.recorded_parts import Unreplayable, config_of, parts_of, tools_of
from stack.services.replay.recorded_streams import RecordedStreams
from stack.services.replay.session_record import SessionRecord
from stack.services.turns.conversation import Conversations
from stack.services.turns.document import document_numbers
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn_plan import TurnParts, TurnPlan, plan_of
from stack.services.turns.turn_runner import Closes, TurnRunner

FROM_OUTSIDE = (TurnStarted, TurnRestarted, TurnResumed, TurnInputReceived)
STOPS = (TurnCancelled, TurnFailed)
CANCELLED = 499


class ReplayedTurn:
    """`events` are those of the turn when it is run again, in order; those from outside are the recorded ones. They are
    to be compared with `own_events` of the record."""

    def __init__(
        self, record: SessionRecord, turn_id: str, streams: RecordedStreams, conversations: Conversations
    ) -> None:
        self.events: list[Event] = []
        self._record = record
        self._turn_id = turn_id
        self._recorded = record.turns[turn_id]
        self._of_operator = _of_operator(self._recorded)
        self._streams = streams
        self._conversations = conversations
        self._state = TurnState()

    async def run(self) -> None:
        """Raises Unreplayable."""
        recorded = self._recorded
        if not recorded or not isinstance(recorded[0].event, TurnStarted):
            raise Unreplayable("its first event is missing or damaged")
        if damaged := [one for one in recorded if isinstance(one.event, Damaged | Redacted)]:
            raise Unreplayable(f"event {damaged[0].version} of the turn cannot be read")
        at = 0
        while at < len(recorded):
            begin = at
            at = self._take_inputs(at)
            end = self._end_of_part(at)
            own = [index for index in range(at, end) if index not in self._of_operator]
            if self._state.status == "running":
                tail = self._tail_of_cancellation(own)
                self.events += await _Part(self, begin, at, end - len(tail)).run()
                self.events += tail
            elif own:
                self.events += [*turns.broken_off(self._state), recorded[own[-1]].event]
            for one in recorded[at:end]:
                self._fold(one)
            at = end

    def _fold(self, one: Recorded) -> None:
        self._state = turns.evolve(self._state, one.event, one.recorded_at, one.version)

    def _take_inputs(self, at: int) -> int:
        """Takes the events from outside that begin at `at`. Returns the place after them."""
        recorded = self._recorded
        while at < len(recorded) and (
            at in self._of_operator or isinstance(recorded[at].event, FROM_OUTSIDE)
        ):
            # Responses of a client's tools are recorded as a step with their resume.
            count = 1
            if isinstance(recorded[at].event, TurnResumed):
                count += _client_step(recorded[at + 1 : at + 3])
            for index, one in enumerate(recorded[at : at + count], at):
                self._fold(one)
                if index not in self._of_operator:
                    self.events.append(one.event)
            at += count
        return at

    def _tail_of_cancellation(self, own: Sequence[int]) -> list[Event]:
        """Returns the events with which a running turn was cancelled, as far as the runner did not decide them: they end
        the calls of tools that were running, and the turn. Empty if it was not cancelled, or within another step, which
        the runner ends."""
        recorded = self._recorded
        if not own or not isinstance(recorded[own[-1]].event, TurnCancelled):
            return []
        if len(own) > 1 and isinstance(recorded[own[-2]].event, TurnStepFailed):
            return []
        states = [self._state]
        for index in own[:-1]:
            one = recorded[index]
            states.append(turns.evolve(states[-1], one.event, one.recorded_at, one.version))
        found: list[Event] = []
        for place in range(len(own) - 1, -1, -1):
            ended = [recorded[index].event for index in own[place:-1]]
            if not all(isinstance(event, TurnToolReturned | TurnStepCompleted) for event in ended):
                break
            if list(map(plain_event, ended)) == turns.broken_off(states[place]):
                found = [*ended, recorded[own[-1]].event]
        return found

    def _end_of_part(self, at: int) -> int:
        for index in range(at, len(self._recorded)):
            event = self._recorded[index].event
            if isinstance(event, FROM_OUTSIDE):
                return index
            if isinstance(event, TurnAwaitingInput):
                return index + 1
        return len(self._recorded)


class _Part:
    """One run of the runner, which recorded the events from `at` to `end` of the turn's record then."""

    def __init__(self, turn: ReplayedTurn, begin: int, at: int, end: int) -> None:
        self._whole = turn
        recorded = turn._recorded
        own = [index for index in range(at, end) if index not in turn._of_operator]
        self._expected = [recorded[index] for index in own]
        self._operator: dict[int, list[Recorded]] = {}
        """Events of an operator within the part, by the number of own events before it."""
        for index in turn._of_operator.intersection(range(at, end)):
            self._operator.setdefault(bisect_left(own, index), []).append(recorded[index])
        self._begin = recorded[begin]
        self._known = [one.event for one in recorded[:end]]
        self._events = [one.event for one in self._expected]
        final = turn._state
        for one in recorded[at:end]:
            final = turns.evolve(final, one.event, one.recorded_at, one.version)
        self._is_cut_off = final.status == "running"
        self._running = RunningTurn(turn._streams, turn._record.session_id, turn._turn_id)
        self._running.take_over(turn._state, recorded[at - 1].version)
        self._emitted: list[Event] = []
        self._is_ending = False

    async def run(self) -> list[Event]:
        """Raises Unreplayable."""
        self._parts = self._recorded_parts()
        runner = TurnRunner(self._running, self._prepare, RecordedEffects(self._events), self._note)
        try:
            await runner.run()
        except NotRecorded:
            await self._stop(runner)
        return self._emitted

    async def _stop(self, runner: TurnRunner) -> None:
        """Ends the run as it was ended: by a cancellation, a failure, or not at all."""
        rest = self._events[len(self._emitted) :]
        self._is_ending = True
        state = self._running.state
        match rest[-1] if rest else None:
            case TurnCancelled(reason=reason):
                await runner.stop("cancelled", reason)
            case TurnFailed() as failed if _was_left(state, rest):
                self._emitted += [*turns.broken_off(state), failed]
            case TurnFailed(error=error):
                await runner.fail(of_status(error.status, error.detail))

    def _recorded_parts(self) -> TurnParts:
        """Raises Unreplayable."""
        record, started = self._whole._record, self._known[0]
        assert isinstance(started, TurnStarted)
        agent = config_of(record, started)
        has_groups = bool(agent.toolgroups or started.toolgroups)
        if has_groups and not self._resolved and not started.agent_version and not self._failed_at_once:
            raise Unreplayable(
                "it was recorded by a version that did not record the definitions of the server's tools"
            )
        return parts_of(agent, tools_of(record, self._known), self._known)

    @property
    def _resolved(self) -> list[TurnToolsResolved]:
        return [event for event in self._known if isinstance(event, TurnToolsResolved)]

    @property
    def _failed_at_once(self) -> bool:
        return bool(self._events) and isinstance(self._events[0], TurnFailed)

    async def _prepare(self) -> TurnPlan:
        whole, state = self._whole, self._running.state
        record = whole._record
        if whole._streams.until is not None:
            whole._streams.until = self._begin.position
            whole._conversations.forget(record.session_id)
        session = SessionState(turns=tuple(record.turns))
        history = await whole._conversations.before(record.session_id, session, whole._turn_id)
        resolved = self._resolved
        same_as = resolved[-1].same_as if resolved else ""
        return await plan_of(
            self._running, self._parts, history, documents_to_retrieve(state, self._events), same_as
        )

    async def _note(self, events: Sequence[Event], closes: Closes) -> None:
        """Takes the place of the log. Raises NotRecorded where the recorded run was stopped or cut off."""
        turn = self._running
        new = [*turn.outcomes, *events]
        if not new:
            return
        done = len(self._emitted)
        following = self._events[done] if done < len(self._events) else None
        if not self._is_ending:
            if following is None and self._is_cut_off:
                raise NotRecorded
            if isinstance(following, STOPS) and type(new[0]) is not type(following):
                raise NotRecorded
        turn.outcomes.clear()
        if self._is_cut_off and not self._is_ending:
            new = new[: len(self._events) - done]
        last = self._expected[-1].recorded_at if self._expected else self._begin.recorded_at
        times = [
            self._expected[index].recorded_at if index < len(self._expected) else last
            for index in range(done, done + len(new))
        ]
        self._emitted += new
        turn.publish(new, times)
        for count in range(done + 1, len(self._emitted) + 1):
            for one in self._operator.get(count, ()):
                turn.publish([one.event], [one.recorded_at])
        following = self._events[len(self._emitted)] if len(self._emitted) < len(self._events) else None
        if not self._is_ending and isinstance(following, TurnStepFailed) and _had_not_begun(following):
            raise NotRecorded


def documents_to_retrieve(state: TurnState, events: Sequence[Event]) -> tuple[int, ...]:
    """Returns the numbers of the documents from which passages are to be retrieved next, as in the recorded `events`."""
    if retrieval_in(state.steps) is not None or state.inferences:
        return ()
    for event in events:
        if isinstance(event, TurnStepCompleted) and event.step_type == "memory_retrieval":
            return document_numbers(event.vector_db_ids or ())
    begun = [event for event in events if isinstance(event, TurnStepStarted)]
    if any(event.step_type == "memory_retrieval" for event in begun):
        return tuple(range(1, len(state.documents) + 1))
    return ()


def own_events(recorded: Sequence[Recorded]) -> list[tuple[int, Event]]:
    """Returns the events of a turn without those of an operator, each with its index in the record."""
    left_out = _of_operator(recorded)
    return [(index, one.event) for index, one in enumerate(recorded) if index not in left_out]


def _of_operator(recorded: Sequence[Recorded]) -> set[int]:
    """Returns the places of the events that an operator caused: the settlements of unknown effects, and the calls that
    were made again for them. They do not belong to the run of the turn."""
    found: set[int] = set()
    returned: set[str] = set()
    for index, one in enumerate(recorded):
        match event := one.event:
            case TurnToolReturned():
                returned.add(event.call_id)
            case TurnToolCalled() if event.call_id in returned:
                found.add(index)
            case TurnEffectSettled():
                found.add(index)
    return found


def _had_not_begun(failed: TurnStepFailed) -> bool:
    """Returns whether a step was cancelled while its start was being recorded."""
    return failed.error.status == CANCELLED and failed.output is None and failed.trace is None


def _client_step(events: Sequence[Recorded]) -> int:
    """Returns how many of these events are the step in which a client ran the tools: two, or its beginning only."""
    begun = events[0].event if events else None
    if not isinstance(begun, TurnStepStarted) or begun.step_type != "tool_execution" or begun.tool_calls:
        return 0
    return len([one for one in events if getattr(one.event, "step_id", "") == begun.step_id])


def _was_left(state: TurnState, rest: Sequence[Event]) -> bool:
    """Returns whether a turn was ended by the next start of the server, which does not end the running step."""
    is_running = any(not step.completed_at and step.error is None for step in state.steps)
    ended = any(isinstance(event, TurnStepFailed | TurnStepCompleted) for event in rest)
    return is_running and not ended and not isinstance(rest[0], TurnAbandoned)
