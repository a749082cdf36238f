"""Runs one turn: a loop that reads the recorded state, performs the next action through the effects port, and
records its result. Everything that it knows is in the turn's events, so it can continue from any of them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from schemas.events.base import Event
from schemas.events.payload import (
    CompletionMessage,
    ResponseFormat,
    SamplingParams,
    SamplingStrategy,
    TurnError,
)
from schemas.events.turn import (
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
)
from stack.domain import turn as turns
from stack.domain.json_schema import mismatch
from stack.domain.shield import refuses
from stack.domain.turn import TurnState
from stack.domain.turn_action import (
    Await,
    Complete,
    Execute,
    Infer,
    Next,
    Respond,
    Retrieve,
    Shield,
    next_action,
)
from stack.errors import InternalError, ReplaystackError, UpstreamFailed, UpstreamTimeout
from stack.providers.inference.port import (
    Finished,
    FinishReason,
    InferenceRequest,
    Opened,
    ReasoningChunk,
    Retrying,
    TextChunk,
    ToolCallChunk,
)
from stack.runs.live import Frame
from stack.runs.run import Stop
from stack.runs.runs import Superseded
from stack.services.effects import Effects
from stack.services.turns.answer import Answer
from stack.services.turns.conversation import Messages, answers_for
from stack.services.turns.retrieval_step import RetrievalStep
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.shield_step import ShieldStep
from stack.services.turns.tool_step import ToolStep
from stack.services.turns.turn_plan import TurnPlan

logger = logging.getLogger("replaystack.turn")

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_of_turn",
    "length": "out_of_tokens",
    "tool_calls": "end_of_message",
}

NOTHING = CompletionMessage(content="", stop_reason="end_of_turn")
"""The shown output of an inference whose answer was refused."""

_encode = msgspec.json.Encoder().encode

Closes = Literal["", "completed", "failed", "cancelled"]


Record = Callable[[Sequence[Event], Closes], Awaitable[None]]
"""Appends the turn's outcomes and these events to its stream (and, with a status, closes it in its session),
and publishes their frames once they are durable. Raises Superseded."""


Prepare = Callable[[], Awaitable[TurnPlan]]


class TurnRunner:
    """One turn while it runs. `run` returns when the turn has ended, awaits input, or was parked."""

    def __init__(self, turn: RunningTurn, prepare: Prepare, effects: Effects, record: Record) -> None:
        self._turn = turn
        self._prepare = prepare
        self._effects = effects
        self._record = record
        self._answer: Answer | None = None
        self._held: list[Frame] = []
        self._model_ran = False

    @property
    def state(self) -> TurnState:
        return self._turn.state

    def _known(self) -> TurnState:
        """Returns the state including events that have not been recorded yet."""
        state = self.state
        for event in self._turn.outcomes:
            state = turns.evolve(state, event, 1, 0)
        return state

    async def run(self) -> None:
        """Runs steps until there is nothing to do. A failure of an effect ends the turn, not the task."""
        try:
            await self._make_plan()
            while self.state.status == "running":
                await self._next()
        except Superseded:
            raise
        except ReplaystackError as error:
            await self.fail(error)
        except Exception:
            logger.exception("turn %s failed unexpectedly", self._turn.turn_id)
            await self.fail(InternalError("The turn failed inside the server. Its log has the details."))

    async def stop(self, stop: Stop, reason: str) -> None:
        """Ends a turn whose task was cancelled; parked turns stay open for the next start."""
        if self.state.status != "running":
            return
        if stop == "parked":
            await self._record([], "")
        elif stop == "deadline":
            await self.fail(UpstreamTimeout(reason))
        else:
            output = self._output_so_far()
            events = self._broken_off(TurnError(499, "Cancelled", reason))
            await self._record([*events, TurnCancelled(reason=reason, output_message=output)], "cancelled")

    async def _next(self) -> None:
        action = self._action(self.state)
        match action:
            case Shield(touchpoint=touchpoint):
                await self._judge_input(touchpoint)
            case Retrieve():
                await self._retrieve(action)
            case Infer():
                await self._infer()
            case Respond(calls=calls, responses=responses):
                step_id = self._effects.new_id()
                await self._record(turns.executed(step_id, self.state.attempt, calls, responses), "")
            case Execute():
                guard = self._shields().on_results
                step = ToolStep(
                    self._turn, self._plan.tools, self._effects, self._record_more, guard, self._plan.labels
                )
                await step.run(action)
            case Await() | Complete():
                await self._record(*_ending(action))

    def _action(self, state: TurnState) -> Next:
        plan = self._plan
        tools = plan.tools
        max_inferences = plan.agent.max_infer_iters or 1
        return next_action(state, tools.client, max_inferences, tools.server.keys(), plan.long_documents)

    async def _retrieve(self, action: Retrieve) -> None:
        plan = self._plan
        guard = self._shields().on_passages
        step = RetrievalStep(self._turn, self._effects, self._record_more, guard, plan.labels)
        await step.run(action)
        await self._make_plan()

    async def _make_plan(self) -> None:
        """Prepares the turn. Tools that are not recorded yet are recorded with its next event."""
        self._plan = await self._prepare()
        if self._plan.tools_resolved is not None:
            self._turn.outcomes.append(self._plan.tools_resolved)

    def _shields(self) -> ShieldStep:
        return ShieldStep(self._turn, self._plan, self._effects)

    async def _judge_input(self, touchpoint: str) -> None:
        shields = self._shields()
        begun = shields.begin(touchpoint)
        await self._record([begun], "")
        await self._record_step(await shields.on_input(begun))

    async def _record_more(self, events: Sequence[Event]) -> None:
        await self._record(events, "")

    async def _infer(self) -> None:
        answers = await answers_for(self.state)
        request = self._request(answers)
        digest = _digest(request, self._plan.context.digests + answers.digests)
        step_id = self._effects.new_id()
        started = TurnStepStarted(
            step_id=step_id,
            step_type="inference",
            attempt=self.state.attempt,
            model=f"{self._plan.provider.id}/{self._plan.model}",
            parameters=self._plan.agent.sampling_params,
            request_digest=digest,
        )
        await self._record([started], "")
        answer = Answer(step_id, self._turn.frames, self._effects.now_ms, self._effects.new_id)
        self._answer = answer
        finished = await self._stream(request, answer)
        self._show(answer.complete_calls())
        output = answer.message(STOP_REASONS[finished.reason])
        judgement: list[Event] = []
        is_refused = False
        if self._plan.output_shields:
            violation, judgement = await self._shields().on_output(output)
            is_refused = refuses(violation)
        if not is_refused:
            self._check_format(output)
            self._turn.live.publish(self._held)
        done = TurnStepCompleted(
            step_id=step_id,
            step_type="inference",
            output=NOTHING if is_refused else output,
            usage=finished.usage,
            trace=None if is_refused else answer.trace,
            response_id=finished.response_id,
            response_model=finished.response_model,
            reasoning="" if is_refused else answer.reasoning,
            withheld=output if is_refused else None,
        )
        await self._record_step(done, *judgement)

    def _show(self, frames: Sequence[Frame]) -> None:
        """Publishes frames of an answer, after its output shields have let it pass."""
        if self._plan.output_shields:
            self._held += frames
        else:
            self._turn.live.publish(frames)

    async def _stream(self, request: InferenceRequest, answer: Answer) -> Finished:
        finished: Finished | None = None
        self._held = []
        events = self._effects.infer(
            self._plan.provider,
            request,
            {**self._plan.labels, "step_id": answer.step_id},
            "input" if self._plan.output_shields else "all",
        )
        try:
            async for event in events:
                match event:
                    case TextChunk(text=text):
                        self._show([answer.text(text)])
                    case ToolCallChunk():
                        self._show(answer.call_chunk(event))
                    case ReasoningChunk(text=text):
                        answer.reason(text)
                    case Opened():
                        self._opened()
                    case Retrying(wait_s=wait_s):
                        self._turn.retries.append(wait_s)
                    case Finished():
                        finished = event
        finally:
            await events.aclose()
        if finished is None:
            raise UpstreamFailed(f"{self._plan.provider.id} ended its answer without saying why.")
        return finished

    async def _record_step(self, *events: Event) -> None:
        """Records the end of a step together with the next action, if that needs no effect: one commit, not two."""
        self._answer = None
        self._turn.outcomes += events
        await self._record(*_ending(self._action(self._known())))

    def _request(self, answers: Messages) -> InferenceRequest:
        """Returns the request of the next inference. A choice that forces a tool applies until a tool was
        called: otherwise the model could never answer."""
        plan = self._plan
        choice = plan.tool_choice
        called = any(step.step_type == "tool_execution" for step in self.state.finished_steps)
        if called and choice not in (None, "none"):
            choice = "auto"
        return inference_request(plan, [*plan.context.encoded, *answers.encoded], choice)

    def _check_format(self, output: CompletionMessage) -> None:
        """Raises UpstreamFailed if an answer does not match `response_format`."""
        wanted = self._plan.agent.response_format
        if wanted is None or wanted.json_schema is None or output.tool_calls:
            return
        try:
            value = msgspec.json.decode(str(output.content))
        except (msgspec.DecodeError, RecursionError) as error:
            raise UpstreamFailed(
                f"The model's answer is not JSON as response_format asks: {error}."
            ) from None
        problem = mismatch(wanted.json_schema, value)
        if problem:
            raise UpstreamFailed(f"The model's answer does not fit response_format: {problem}.")

    def _opened(self) -> None:
        self._model_ran = True
        if not self._turn.alive.done():
            self._turn.alive.set_result(None)

    async def fail(self, error: ReplaystackError) -> None:
        """Ends the turn as failed."""
        if self._model_ran and error.status == 502 and error.should_retry is None:
            error.should_retry = False
        self._turn.failure = error
        reason = TurnError(error.status, error.title, error.detail)
        output = self._output_so_far()
        events = self._broken_off(reason)
        await self._record([*events, TurnFailed(error=reason, output_message=output)], "failed")

    def _broken_off(self, error: TurnError) -> list[Event]:
        """Returns the end of the running step, with its output so far."""
        answer, self._answer = self._answer, None
        if answer is not None and self._plan.output_shields:
            answer = None
        if ended := turns.broken_off(self._known()):
            return ended
        running = [step for step in self._known().steps if not step.completed_at and step.error is None]
        if not running or running[-1].attempt != self.state.attempt:
            return []
        step = running[-1]
        return [
            TurnStepFailed(
                step_id=step.step_id,
                step_type=step.step_type,
                error=error,
                output=answer.message("end_of_turn") if answer else None,
                trace=answer.trace if answer else None,
                reasoning=answer.reasoning if answer else "",
            )
        ]

    def _output_so_far(self) -> CompletionMessage:
        if self._answer is not None and not self._plan.output_shields:
            content = self._answer.message("end_of_turn").content
            if content:
                return CompletionMessage(content=content, stop_reason="end_of_turn")
        return turns.produced(self._known())


def _ending(action: Next) -> tuple[list[Event], Closes]:
    """Returns the events of an action that needs no effect, and what they close."""
    match action:
        case Await(output=output):
            return [TurnAwaitingInput(output_message=output)], ""
        case Complete(output=output):
            return [TurnCompleted(output_message=output)], "completed"
    return [], ""


def _digest(request: InferenceRequest, digests: bytes) -> str:
    """Returns the SHA-256 (hex) of everything except the messages, and of the digests of those."""
    return hashlib.sha256(_encode(replace(request, messages=[])) + digests).hexdigest()


def inference_request(plan: TurnPlan, messages: list[Raw], tool_choice: str | None) -> InferenceRequest:
    """Returns the request of one inference. Without sampling parameters an agent decodes greedily."""
    params = plan.agent.sampling_params or SamplingParams()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    match params.strategy:
        case None | SamplingStrategy(type="greedy"):
            temperature = 0.0
        case SamplingStrategy(temperature=temperature, top_p=top_p, top_k=top_k):
            pass
    tools = plan.tools.definitions
    offered = bool(tools) and tool_choice != "none"
    return InferenceRequest(
        model=plan.model,
        messages=messages,
        tools=tools if offered else [],
        tool_choice=tool_choice if offered and tool_choice not in (None, "auto") else None,
        response_format=_response_format(plan.agent.response_format),
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        repetition_penalty=params.repetition_penalty,
        max_tokens=params.max_tokens or None,
        stop=params.stop or [],
    )


def _response_format(wanted: ResponseFormat | None) -> Raw | None:
    match wanted:
        case ResponseFormat(type="json_schema", json_schema=schema):
            named = {"name": "response", "schema": schema, "strict": True}
            return Raw(_encode({"type": "json_schema", "json_schema": named}))
        case ResponseFormat(type="grammar", bnf=bnf):
            return Raw(_encode({"type": "grammar", "bnf": bnf}))
    return None
