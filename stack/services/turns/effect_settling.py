"""Effects of tools, and how an operator settles one whose outcome is unknown."""

from __future__ import annotations

import msgspec

from projections import tool_call as call_views
from schemas.api.effect import Effect, SettleEffectRequest
from schemas.events.turn import TurnEffectSettled, TurnToolCalled
from stack.domain.tool_call import UNKNOWN_OUTCOME, CallState
from stack.domain.turn import TurnState
from stack.errors import (
    Conflict,
    Invalid,
    NotFound,
    ReplaystackError,
    Unavailable,
    UpstreamFailed,
    VersionConflict,
)
from stack.eventstore import Append, EventStore, StreamWrite, stream_name
from stack.providers.tools.port import NotCalled, Suspended, ToolRequest, ToolResult
from stack.services.effects import Effects
from stack.services.requests.caller import Caller
from stack.services.state import States
from stack.services.tools.tool_set import tool_set
from stack.services.turns.turn import READ
from stack.services.turns.turn_plan import TurnPlans
from stack.services.views import Views

APPEND_ATTEMPTS = 10


class EffectService:
    def __init__(
        self, store: EventStore, states: States, views: Views, plans: TurnPlans, effects: Effects
    ) -> None:
        self._store = store
        self._states = states
        self._views = views
        self._plans = plans
        self._effects = effects
        self._settling: set[str] = set()

    async def page(
        self, status: str, start_index: int, limit: int | None, max_bytes: int
    ) -> tuple[list[Effect], bool]:
        return await self._views.read(READ, call_views.effects, status, start_index, limit, max_bytes)

    async def unknown(self) -> int:
        """Returns the number of effects whose outcome is unknown; 0 while the read models are not available."""
        try:
            return await self._views.read(READ, call_views.unknown_effects)
        except Unavailable:
            return 0

    async def show(self, key: str) -> Effect:
        """Raises NotFound."""
        found = await self._views.read(READ, call_views.effect, key)
        if found is None:
            raise NotFound(f"There is no effect {key!r}. GET /v1alpha/effects lists them.")
        return found

    async def settle(
        self, key: str, request: SettleEffectRequest, caller: Caller, command: str = ""
    ) -> Effect:
        """Records the result that takes the place of an unknown outcome; with `retry` it calls the tool again first.
        Later turns of the session see the result. Returns the effect as it is then.

        Raises NotFound, Conflict unless the outcome is unknown and the turn does not run, Invalid for content that is
        missing or not needed; and for a retry UpstreamFailed: its outcome is unknown again, or it was not made.
        """
        found = await self.show(key)
        if (request.content is None) != (request.decision == "retry"):
            needed = "has no content" if request.decision == "retry" else "needs the content of the result"
            raise Invalid(f"The decision {request.decision!r} {needed}.")
        if key in self._settling:
            raise Conflict("The effect is being settled by another request.")
        self._settling.add(key)
        try:
            await self._settle(found, request, caller, command)
        finally:
            self._settling.discard(key)
        return await self.show(key)

    async def _settle(
        self, found: Effect, request: SettleEffectRequest, caller: Caller, command: str
    ) -> None:
        state, version = await self._states.turn(found.session_id, found.turn_id)
        call = state.calls.get(found.call_id)
        if state.status == "running":
            raise Conflict("The turn is running. Settle the effect when it has ended or awaits input.")
        if call is None or call.status not in ("unknown", "called"):
            status = "unknown" if call is None else call.status
            raise Conflict(f"The outcome of the effect is known: {status}.")
        stream = stream_name("turn", found.turn_id)
        status, content = request.decision, request.content or ""
        if request.decision == "retry":
            again = TurnToolCalled(
                step_id=call.step_id,
                call_id=call.call_id,
                key=call.key,
                tool_name=call.tool_name,
                toolgroup=call.toolgroup,
                arguments=call.arguments,
                repeatable=call.repeatable,
                parent=call.parent,
                attempt=call.attempt + 1,
            )
            await self._append(found, StreamWrite(stream, version, caller.stamp([again])))
            version += 1
            result = await self._call(state, call, found)
            status = "failed" if result.is_error else "done"
            settled_content = result.content
        else:
            settled_content = content
        settled = TurnEffectSettled(
            session_id=found.session_id,
            call_id=found.call_id,
            decision=request.decision,
            status=status,
            content=settled_content,
            reason=request.reason or "",
        )
        await self._append(found, StreamWrite(stream, version, caller.stamp([settled])), command)
        await self._plans.forget(found.session_id)

    async def _call(self, state: TurnState, call: CallState, found: Effect) -> ToolResult:
        agent = await self._states.agent_of(state)
        tools = await tool_set(self._plans.toolgroups, agent, state.toolgroups)
        tool = tools.server.get(call.tool_name)
        if tool is None:
            raise Conflict(
                f"The tool {call.tool_name!r} no longer exists; settle the effect as done or failed."
            )
        request = ToolRequest(
            tool=tool.definition.name,
            arguments=msgspec.json.decode(call.arguments),
            key=call.key,
            args=tool.args,
        )
        labels = {"session_id": found.session_id, "turn_id": found.turn_id}
        try:
            async with tool.configured.slots:
                # No shield judges the result of this call.
                outcome = await self._effects.call_tool(tool, call.call_id, request, labels, "input")
        except NotCalled as error:
            raise UpstreamFailed(f"The tool was not called: {error}", should_retry=False) from None
        except ReplaystackError as error:
            raise UpstreamFailed(f"{UNKNOWN_OUTCOME} {error.detail}", should_retry=False) from None
        if isinstance(outcome, Suspended):
            raise Conflict(
                "The tool asks a question, which only a turn can answer. Settle the effect as done or failed."
            )
        return outcome

    async def _append(self, found: Effect, write: StreamWrite, command: str = "") -> None:
        """Raises NotFound if the turn was deleted, and Conflict."""
        for _ in range(APPEND_ATTEMPTS):
            # A deletion does not change the stream of the turn, but always that of the root.
            root = await self._states.root_of(found.session_id)
            await self._states.turn(found.session_id, found.turn_id)
            try:
                await self._store.append(Append((write,), expects=(root,), command=command))
                return
            except VersionConflict as error:
                if error.stream == write.stream:
                    raise Conflict(
                        "The turn was changed by another request. Read the effect again."
                    ) from None
        raise Conflict(f"Session {found.session_id!r} is busy with other requests. Try again.")
