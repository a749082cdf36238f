"""Sessions that other tools recorded: a value that each format is read to, and its conversion to events.

The events are those that the turn runner would have recorded had it run the session with tools of the client: a turn
that calls tools awaits input, is resumed with their results, and completes.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.events.agent import AgentCreated
from schemas.events.base import Event
from schemas.events.payload import (
    AgentConfig,
    CompletionMessage,
    Content,
    Document,
    InputMessage,
    ToolCall,
    ToolDef,
    ToolResponse,
    TurnError,
    TurnUsage,
    Violation,
)
from schemas.events.session import SessionCreated, SessionTurnClosed, SessionTurnOpened
from schemas.events.turn import (
    Owner,
    StreamTrace,
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnResumed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepStarted,
)
from stack.domain import turn as turns
from stack.domain.agent import MAX_INFER_ITERS
from stack.domain.turn import TurnState
from stack.domain.turn_shield import ASSISTANT_OUTPUT, RETRIEVED_TEXT, TOOL_RESULT, USER_INPUT
from stack.eventstore import Recorded
from stack.services.replay.session_record import SessionRecord

ELSEWHERE = Owner("", "")
"""The owner of a turn that no server of this log has run."""
MAX_NAME = 200
"""Maximum length of the name of an imported session in characters."""
NO_RESULT = "The recording has no result of this call."
BROKEN_OFF = "The recording ends before the answer of this turn."


class Inference(Struct, frozen=True, kw_only=True):
    """An answer of a model. Times are microseconds since 1970, 0 if unknown."""

    content: Content = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    usage: TurnUsage | None = None
    model: str = ""
    response_id: str = ""
    is_cut_off: bool = False
    began_at: int = 0
    ended_at: int = 0


class Results(Struct, frozen=True, kw_only=True):
    """Results of all tool calls of the inference before it."""

    responses: tuple[ToolResponse, ...]
    ended_at: int = 0


class Retrieved(Struct, frozen=True, kw_only=True):
    """Passages that were given to the model."""

    content: Content
    vector_db_ids: tuple[str, ...] = ()
    ended_at: int = 0


TOUCHPOINTS = (USER_INPUT, RETRIEVED_TEXT, TOOL_RESULT, ASSISTANT_OUTPUT)
SHIELD = "imported"
"""The id of a shield that refused the input of a turn elsewhere: no model is sent such input here either."""

ImportedStep = Inference | Results | Retrieved


class ImportedTurn(Struct, frozen=True, kw_only=True):
    """`output` is the shown output if it is not that of the last inference. `status` is completed, failed (with
    `error`), cancelled or abandoned. `refused` is the touchpoint at which a shield ended the turn, "" if none did."""

    input_messages: tuple[InputMessage, ...]
    steps: tuple[ImportedStep, ...]
    status: str
    documents: tuple[Document, ...] = ()
    began_at: int = 0
    ended_at: int = 0
    output: Content | None = None
    error: TurnError | None = None
    refused: str = ""


class Imported(Struct, frozen=True, kw_only=True):
    """A session as a file of another format describes it. `source` is its id there. `extra` holds what has no place in
    the events."""

    source: str
    session_name: str
    agent: AgentConfig
    turns: tuple[ImportedTurn, ...]
    extra: Mapping[str, Any] = {}


def agent_config(
    name: str, model: str, instructions: str, tools: Sequence[ToolDef], turns: Iterable[ImportedTurn]
) -> AgentConfig:
    """Returns the configuration of an agent, whose tools are those of its client: the known ones, and those that it
    calls."""
    called = {
        call.tool_name: ToolDef(name=call.tool_name, input_schema={"type": "object", "properties": {}})
        for turn in turns
        for step in turn.steps
        if isinstance(step, Inference)
        for call in step.tool_calls
    }
    known = {tool.name: tool for tool in tools}
    return AgentConfig(
        model=model or "unknown",
        instructions=instructions,
        name=name or None,
        client_tools=[*known.values(), *(called[one] for one in sorted(called) if one not in known)] or None,
        max_infer_iters=MAX_INFER_ITERS,
        enable_session_persistence=False,
    )


def record_of(imported: Imported, format: str, digest: str, imported_at: int) -> SessionRecord:
    """Returns the session as events. Ids are made from `format`, `digest` (SHA-256, hex) of the imported file and the id
    of the session in it, so that a file has the same ids whenever it is imported. `imported_at` (microseconds since
    1970) is the time of a session whose file has no times."""
    known = [turn.began_at for turn in imported.turns if turn.began_at]
    clock = _Clock(min(known, default=imported_at))
    ids = _Ids(f"{format}:{digest}:{imported.source}", min(known, default=0))
    agent_id = _uuid(0, 0, f"{format}:{msgspec.json.encode(imported.agent).decode()}")
    session_id = ids.new(0, "session")
    created = AgentCreated(config=imported.agent, occurred_at=clock.next())
    session: list[Event] = [
        SessionCreated(agent_id=agent_id, session_name=_name(imported, format), occurred_at=clock.next())
    ]
    records: dict[str, Sequence[Recorded]] = {}
    for number, turn in enumerate(imported.turns, 1):
        turn_id = ids.new(number, "turn")
        session.append(SessionTurnOpened(turn_id=turn_id, occurred_at=clock.next(turn.began_at)))
        started = TurnStarted(
            session_id=session_id,
            agent_id=agent_id,
            owner=ELSEWHERE,
            input_messages=list(turn.input_messages),
            stream=True,
            documents=list(turn.documents) or None,
            agent_version=1,
            input_shields=[SHIELD] if turn.refused in (USER_INPUT, RETRIEVED_TEXT) else None,
        )
        events = _TurnEvents(clock, partial(ids.step, number))
        events.run(started, turn)
        records[turn_id] = _recorded(events.events)
        session.append(SessionTurnClosed(turn_id=turn_id, status=turn.status, occurred_at=clock.next()))
    return SessionRecord(
        agent_id=agent_id,
        session_id=session_id,
        agents={agent_id: _recorded([created])},
        session=_recorded(session),
        turns=records,
    )


def _name(imported: Imported, format: str) -> str:
    return imported.session_name.strip()[:MAX_NAME] or imported.source.strip()[:MAX_NAME] or format


class _TurnEvents:
    """The events of one turn."""

    def __init__(self, clock: _Clock, step_id: Callable[[int], str]) -> None:
        self.events: list[Event] = []
        self._clock = clock
        self._step_id = step_id
        self._steps = 0
        self._state = TurnState()

    def run(self, started: TurnStarted, turn: ImportedTurn) -> None:
        self._add(started, at=self._clock.last)
        for step in turn.steps:
            match step:
                case Inference():
                    self._infer(step)
                case Results():
                    self._execute(step)
                case Retrieved():
                    self._retrieve(step)
        self._end(turn)

    def _infer(self, step: Inference) -> None:
        step_id = self._begin("inference", step.began_at, model=step.model)
        began_at = self._clock.last
        reason = (
            "out_of_tokens" if step.is_cut_off else "end_of_message" if step.tool_calls else "end_of_turn"
        )
        output = CompletionMessage(
            content=step.content, stop_reason=reason, tool_calls=list(step.tool_calls) or None
        )
        ended_at = self._clock.next(step.ended_at)
        self._add(
            TurnStepCompleted(
                step_id=step_id,
                step_type="inference",
                output=output,
                usage=step.usage or TurnUsage(),
                trace=_trace(output, (ended_at - began_at) // 1000),
                response_id=step.response_id,
                response_model=step.model,
                reasoning=step.reasoning,
            ),
            at=ended_at,
        )

    def _execute(self, step: Results) -> None:
        calls = list(turns.pending_calls(self._state))
        self._add(TurnAwaitingInput(output_message=turns.waiting_output(self._state)))
        self._add(TurnResumed(owner=ELSEWHERE))
        step_id = self._begin("tool_execution", 0)
        done = TurnStepCompleted(
            step_id=step_id, step_type="tool_execution", tool_calls=calls, tool_responses=list(step.responses)
        )
        self._add(done, at=self._clock.next(step.ended_at))

    def _retrieve(self, step: Retrieved) -> None:
        step_id = self._begin("memory_retrieval", 0)
        done = TurnStepCompleted(
            step_id=step_id,
            step_type="memory_retrieval",
            inserted_context=step.content,
            vector_db_ids=list(step.vector_db_ids),
        )
        self._add(done, at=self._clock.next(step.ended_at))

    def _refuse(self, touchpoint: str, message: Content) -> None:
        step_id = self._begin("shield_call", 0, touchpoint=touchpoint)
        objection = Violation(level="error", user_message=message if isinstance(message, str) else "")
        self._add(TurnStepCompleted(step_id=step_id, step_type="shield_call", violation=objection))

    def _begin(self, step_type: str, at: int, model: str = "", touchpoint: str = "") -> str:
        self._steps += 1
        step_id = self._step_id(self._steps)
        started = TurnStepStarted(
            step_id=step_id, step_type=step_type, attempt=1, model=model, touchpoint=touchpoint
        )
        self._add(started, at=self._clock.next(at))
        return step_id

    def _end(self, turn: ImportedTurn) -> None:
        output = turns.produced(self._state)
        if turn.output is not None or turn.refused:
            output = replace(output, content=turn.output or "")
        if turn.refused:
            self._refuse(turn.refused, output.content)
        pending = turns.pending_calls(self._state)
        last = self._state.steps[-1].output if self._state.steps else None
        if turn.status == "completed":
            cut_off = (
                turn.output is None
                and not turn.refused
                and (last is None or last.stop_reason == "out_of_tokens" or pending)
            )
            content = last.content if last is not None and turn.output is None else output.content
            reason = "out_of_tokens" if cut_off else "end_of_turn"
            ended = CompletionMessage(content=content, stop_reason=reason)
            self._add(TurnCompleted(output_message=ended), at=self._clock.next(turn.ended_at))
        elif turn.status == "failed":
            error = turn.error or TurnError(502, "Bad Gateway", BROKEN_OFF)
            self._add(TurnFailed(error=error, output_message=output), at=self._clock.next(turn.ended_at))
        elif turn.status == "abandoned":
            if pending:
                self._add(TurnAwaitingInput(output_message=turns.waiting_output(self._state)))
            self._add(TurnAbandoned(output_message=output), at=self._clock.next(turn.ended_at))
        else:
            reason = turn.error.detail if turn.error else BROKEN_OFF
            self._add(TurnCancelled(reason=reason, output_message=output), at=self._clock.next(turn.ended_at))

    def _add(self, event: Event, at: int = 0) -> None:
        at = at or self._clock.next()
        event = replace(event, occurred_at=at)
        self.events.append(event)
        self._state = turns.evolve(self._state, event, at, len(self.events))


def _trace(output: CompletionMessage, duration_ms: int) -> StreamTrace:
    """Returns a trace with one chunk for the text, and for each call one for its arguments and its end, all at the end of
    the answer."""
    calls = output.tool_calls or []
    text = output.content if isinstance(output.content, str) else ""
    chunks = [(len(text), -1)] if text else []
    for index, call in enumerate(calls):
        chunks += [(len(call.arguments), index), (-1, index)]
    delays_ms = [max(0, duration_ms), *(0 for _ in chunks[1:])] if chunks else []
    return StreamTrace(
        [length for length, _ in chunks], delays_ms, [index for _, index in chunks] if calls else None
    )


def _recorded(events: Iterable[Event]) -> list[Recorded]:
    return [Recorded(0, version, event.occurred_at, event) for version, event in enumerate(events, 1)]


class _Clock:
    """Times that rise with each event, in microseconds since 1970."""

    def __init__(self, start: int) -> None:
        self.last = start - 3

    def next(self, at: int = 0) -> int:
        """Returns `at`, if it is later than the last time; otherwise the next possible time."""
        self.last = max(at, self.last + 1)
        return self.last


class _Ids:
    """Ids that are made from `seed`, and that rise with their number like those of the server."""

    def __init__(self, seed: str, began_at: int) -> None:
        self._seed = seed
        self._began_ms = began_at // 1000

    def new(self, number: int, what: str) -> str:
        return _uuid(self._began_ms, number, f"{self._seed}:{number}:{what}")

    def step(self, turn: int, number: int) -> str:
        return self.new(turn, f"step {number}")


def _uuid(milliseconds: int, number: int, seed: str) -> str:
    """Returns a UUID of version 8 (RFC 9562): 48 bits of time, 26 of a number, 48 of a hash."""
    hashed = int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()[:6], "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | 8 << 76 | (number >> 14 & 0xFFF) << 64 | 2 << 62
    return str(uuid.UUID(int=value | (number & 0x3FFF) << 48 | hashed))
