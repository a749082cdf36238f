"""One execution of server-side tools: calls that run concurrently, each recorded before and after.

Every call is driven from its recorded state, so the same code begins a call, continues one that was suspended, and
decides after a crash: a call whose intent is recorded without an outcome is made again only if its tool is
repeatable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from schemas.events.base import Event
from schemas.events.payload import Content, ToolCall, ToolResponse
from schemas.events.turn import (
    TurnAwaitingInput,
    TurnInputRequested,
    TurnStepCompleted,
    TurnStepStarted,
    TurnToolCalled,
    TurnToolReturned,
    TurnToolSuspended,
)
from stack.domain.tool_call import (
    UNKNOWN_OUTCOME,
    CallState,
    InputRequest,
    call_digest,
    denial,
    effect_key,
    responses_of,
)
from stack.domain.turn import NOT_EXECUTED, TurnState, evolve, waiting_output
from stack.domain.turn_action import Execute
from stack.errors import ReplaystackError
from stack.providers.tools.port import Answer, NotCalled, Suspended, ToolRequest, ToolResult
from stack.services.effects import Captured, Effects
from stack.services.tools.approval_rules import needs_approval
from stack.services.tools.tool_set import ServerTool, ToolSet
from stack.services.turns.running_turn import RunningTurn

MAX_NESTED_CALLS = 1_000
"""Maximum number of calls that the code of one call may make."""
MAX_DEPTH = 4

Guard = Callable[[Sequence[ToolResponse]], Awaitable[tuple[list[ToolResponse], list[Event]]]]
"""Judges results. Returns the responses, without refused results, and the events of the judgement, none without shields.
Raises ReplaystackError."""
Record = Callable[[Sequence[Event]], Awaitable[None]]
"""Appends the turn's outcomes and these events. Raises Superseded."""


class ToolStep:
    """Executes the calls of one step, until all have returned or wait for decisions."""

    def __init__(
        self,
        turn: RunningTurn,
        tools: ToolSet,
        effects: Effects,
        record: Record,
        guard: Guard,
        labels: Mapping[str, str],
    ) -> None:
        self._turn = turn
        self._tools = tools
        self._effects = effects
        self._record = record
        self._guard = guard
        self._labels = labels
        self._recording = asyncio.Lock()
        self._step_id = ""
        self._top: set[str] = set()
        self._unfinished = 0

    @property
    def _state(self) -> TurnState:
        """The state with the events that are not recorded yet."""
        state = self._turn.state
        for event in self._turn.outcomes:
            state = evolve(state, event, 0, 0)
        return state

    async def run(self, action: Execute) -> None:
        self._step_id = action.step_id or self._effects.new_id()
        if not action.step_id:
            started = TurnStepStarted(
                step_id=self._step_id,
                step_type="tool_execution",
                attempt=self._state.attempt,
                tool_calls=list(action.calls),
            )
            self._turn.outcomes.append(started)
        self._top = {call.call_id for call in action.calls}
        self._unfinished = sum(1 for call in action.calls if not self._has_returned(call))
        # A call of this state that has not returned was left by an earlier run.
        left = {call_id for call_id, call in self._state.calls.items() if call.status == "called"}
        if await self._all(action.calls, "", left, 0):
            responses = responses_of(action.calls, self._state.calls, NOT_EXECUTED)
            if self._turn.state.input_shields:
                # What the tools returned must not be lost in a crash while it is judged.
                await self._note()
            passing, judgement = await self._guard(responses)
            done = TurnStepCompleted(
                step_id=self._step_id,
                step_type="tool_execution",
                tool_calls=list(action.calls),
                tool_responses=passing,
            )
            await self._note(done, *judgement)
            return
        self._turn.outcomes += self._new_requests(action.calls)
        await self._note(TurnAwaitingInput(output_message=waiting_output(self._state)))

    async def _all(self, calls: Sequence[ToolCall], parent: str, left: set[str], depth: int) -> bool:
        """Drives calls concurrently. Returns whether all have returned; the others wait for decisions."""
        if len(calls) == 1:
            return await self._drive(calls[0], parent, left, depth)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._drive(call, parent, left, depth)) for call in calls]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return all(task.result() for task in tasks)

    async def _drive(self, call: ToolCall, parent: str, left: set[str], depth: int) -> bool:
        """Continues one call from its recorded state. Returns whether it has returned."""
        known = self._state.calls.get(call.call_id)
        if known is not None and known.has_returned:
            return True
        if known is not None and known.status == "called" and not known.repeatable:
            # Before its tool is looked up: that the tool is gone does not tell whether it ran.
            await self._returned(call, "unknown", UNKNOWN_OUTCOME)
            return True
        problem = self._tools.problem(call)
        if problem or depth > MAX_DEPTH:
            await self._returned(call, "failed", problem or "Error: calls are nested too deeply.")
            return True
        tool = self._tools.server[call.tool_name]
        while True:
            known = self._state.calls.get(call.call_id)
            if known is not None and known.has_returned:
                return True
            if known is None:
                if not await self._may_call(call, tool):
                    await self._note()
                    return call.call_id in self._state.calls
                await self._call(call, tool, None, parent)
            elif known.status == "called":
                if call.call_id not in left or not known.repeatable:
                    await self._returned(call, "unknown", UNKNOWN_OUTCOME)
                    continue
                left.discard(call.call_id)
                await self._call(call, tool, known, parent)
            elif known.question is not None:
                request = self._state.requests.get(call.call_id)
                if request is None or not request.decision:
                    return False
                await self._call(call, tool, known, parent, answer=_answer(request))
            else:
                if not await self._all(known.calls, call.call_id, left, depth + 1):
                    return False
                await self._call(call, tool, known, parent, results=self._results(known))

    async def _may_call(self, call: ToolCall, tool: ServerTool) -> bool:
        """Returns whether a call may be made now: no rule asks for approval, or it was approved. Records the end of one
        that was denied."""
        rules = tool.configured.settings.approval
        arguments = msgspec.json.decode(call.arguments)
        if not rules or not needs_approval(rules, tool.definition.name, arguments):
            return True
        request = self._state.requests.get(call.call_id)
        if request is None or not request.decision:
            return False
        digest = call_digest(tool.toolgroup, tool.definition.name, call.arguments)
        if request.decision == "approve" and request.asked.digest == digest:
            return True
        await self._returned(call, "denied", denial(request))
        return False

    async def _call(
        self,
        call: ToolCall,
        tool: ServerTool,
        known: CallState | None,
        parent: str,
        *,
        results: Sequence[ToolResult] = (),
        answer: Answer | None = None,
    ) -> None:
        """Calls the tool and records what came of it. A repeatable tool that continues needs no further intent."""
        continues = known is not None and known.state is not None
        async with tool.configured.slots:
            if known is not None and continues and known.repeatable:
                key = known.key
            else:
                attempt = known.attempt + 1 if known is not None else 1
                key = known.key if known is not None else self._key(call, tool)
                await self._note(
                    TurnToolCalled(
                        step_id=self._step_id,
                        call_id=call.call_id,
                        key=key,
                        tool_name=call.tool_name,
                        toolgroup=tool.toolgroup,
                        arguments=call.arguments,
                        repeatable=tool.is_repeatable,
                        parent=parent,
                        attempt=attempt,
                    )
                )
            request = ToolRequest(
                tool=tool.definition.name,
                arguments=msgspec.json.decode(call.arguments),
                key=key,
                args=tool.args,
                others=self._tools.others(tool),
                state=known.state if known is not None else None,
                results=results,
                answer=answer,
            )
            labels = {**self._labels, "step_id": self._step_id}
            try:
                captured: Captured = "input" if self._turn.state.input_shields else "all"
                outcome = await self._effects.call_tool(tool, call.call_id, request, labels, captured)
            except NotCalled as error:
                return await self._returned(call, "failed", f"Error: the tool was not called: {error}")
            except ReplaystackError as error:
                return await self._lost(call, tool, error.detail)
        match outcome:
            case ToolResult():
                status = "failed" if outcome.is_error else "done"
                await self._returned(call, status, outcome.content, outcome.metadata)
            case Suspended():
                await self._suspended(call, known, outcome)

    async def _suspended(self, call: ToolCall, known: CallState | None, outcome: Suspended) -> None:
        before = known.nested if known is not None else 0
        nested = [
            ToolCall(f"{call.call_id}.{number}", one.tool, msgspec.json.encode(one.arguments).decode())
            for number, one in enumerate(outcome.calls, before + 1)
        ]
        if before + len(nested) > MAX_NESTED_CALLS:
            text = f"Error: the code made more than {MAX_NESTED_CALLS} calls of tools."
            return await self._returned(call, "failed", text)
        question = outcome.question
        self._turn.outcomes.append(
            TurnToolSuspended(
                call_id=call.call_id,
                state=outcome.state,
                calls=nested or None,
                question={**question.request, "message": question.message} if question is not None else None,
            )
        )
        if not nested:
            await self._note()
        # Otherwise it is recorded with the intent of the first nested call.

    async def _lost(self, call: ToolCall, tool: ServerTool, why: str) -> None:
        """Records a call without a result: failed if its tool is repeatable, otherwise unknown."""
        status, text = (
            ("failed", f"Error: {why}") if tool.is_repeatable else ("unknown", f"{UNKNOWN_OUTCOME} {why}")
        )
        await self._returned(call, status, text)

    async def _returned(
        self, call: ToolCall, status: str, content: Content, metadata: dict[str, Any] | None = None
    ) -> None:
        """Records the outcome of a call. That of the last call of the step is recorded with the end of the step."""
        returned = TurnToolReturned(
            call_id=call.call_id,
            tool_name=call.tool_name,
            status=status,
            content=content,
            metadata=metadata,
        )
        if call.call_id in self._top:
            self._unfinished -= 1
            if not self._unfinished:
                self._turn.outcomes.append(returned)
                return
        await self._note(returned)

    def _has_returned(self, call: ToolCall) -> bool:
        known = self._state.calls.get(call.call_id)
        return known is not None and known.has_returned

    def _results(self, known: CallState) -> list[ToolResult]:
        calls = self._state.calls
        return [
            ToolResult(
                content=calls[one.call_id].content,
                is_error=calls[one.call_id].status != "done",
                metadata=calls[one.call_id].metadata,
            )
            for one in known.calls
        ]

    def _key(self, call: ToolCall, tool: ServerTool) -> str:
        name, turn_id = tool.definition.name, self._turn.turn_id
        return effect_key(tool.toolgroup, name, call.arguments, turn_id, self._state.calls)

    def _new_requests(self, calls: Sequence[ToolCall]) -> list[Event]:
        """Returns the requests that waiting calls need and that were not made before."""
        asked: list[Event] = []
        for call in self._waiting(calls):
            if call.call_id in self._state.requests:
                continue
            tool = self._tools.server[call.tool_name]
            settings = tool.configured.settings
            known = self._state.calls.get(call.call_id)
            asked.append(
                TurnInputRequested(
                    request_id=self._effects.new_id(),
                    kind="approval" if known is None else "elicitation",
                    call_id=call.call_id,
                    tool_name=call.tool_name,
                    toolgroup=tool.toolgroup,
                    arguments=call.arguments,
                    digest=call_digest(tool.toolgroup, tool.definition.name, call.arguments),
                    deadline=self._effects.now_us() + round(settings.approval_timeout_s * 1e6),
                    request=known.question if known is not None else None,
                )
            )
        return asked

    def _waiting(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Returns the calls, also nested ones, that wait for a decision."""
        found: list[ToolCall] = []
        for call in calls:
            known = self._state.calls.get(call.call_id)
            if known is None or known.question is not None:
                found.append(call)
            elif known.status == "suspended":
                found += self._waiting(known.calls)
        return found

    async def _note(self, *events: Event) -> None:
        """Records events, together with those that other calls are waiting to record."""
        self._turn.outcomes.extend(events)
        async with self._recording:
            if self._turn.outcomes:
                await self._record([])


def _answer(request: InputRequest) -> Answer:
    action = "cancel" if request.decision == "expired" else request.decision
    return Answer(action=action, content=request.content)
