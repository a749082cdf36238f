"""Makes turns of a flat sequence of messages, as other tools record conversations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from schemas.events.payload import Content, Document, InputMessage, ToolCall, ToolResponse, TurnError
from stack.services.replay.imported_session import (
    NO_RESULT,
    TOUCHPOINTS,
    ImportedStep,
    ImportedTurn,
    Inference,
    Results,
    Retrieved,
)


class _Draft(Struct):
    began_at: int
    boundary: str = ""
    input_messages: list[InputMessage] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    steps: list[ImportedStep] = field(default_factory=list)
    pending: dict[str, ToolCall] = field(default_factory=dict)
    results: dict[str, ToolResponse] = field(default_factory=dict)
    results_at: int = 0
    output: Content | None = None
    output_at: int = 0
    status: str = ""
    error: TurnError | None = None
    refused: str = ""


class Transcript:
    """A conversation, message by message in order. A turn begins with input and ends before the next input; answers that
    follow each other without input or results between them are turns of their own, because an answer without calls ends
    a turn. Times are microseconds since 1970, 0 if unknown."""

    def __init__(self) -> None:
        self._turns: list[ImportedTurn] = []
        self._draft: _Draft | None = None
        self._open: dict[str, ToolCall] = {}
        """Calls of the last turn that were not answered in it."""

    def input(self, message: InputMessage, at: int = 0, boundary: str = "") -> None:
        """Adds input, to the turn that has not been answered yet, or as a new turn. Input with different boundaries (the
        source's ids of turns) never shares a turn."""
        draft = self._draft
        if (
            draft is None
            or draft.steps
            or draft.output is not None
            or draft.status
            or draft.boundary != boundary
        ):
            draft = self._begin(at, boundary)
        draft.input_messages.append(message)

    def attach(self, documents: Iterable[Document]) -> None:
        """Adds documents to the input of the present turn."""
        if self._draft is not None:
            self._draft.documents += documents

    def answer(self, answer: Inference, boundary: str = "") -> None:
        """Adds an answer of the model."""
        draft = self._draft
        if (
            draft is None
            or draft.status
            or draft.output is not None
            or (boundary and draft.boundary and boundary != draft.boundary)
        ):
            draft = self._begin(answer.began_at or answer.ended_at, boundary)
        self._settle(draft, goes_on=True)
        if draft.steps and isinstance(draft.steps[-1], Inference):
            draft = self._begin(answer.began_at or answer.ended_at, boundary or draft.boundary)
        answer = replace(answer, tool_calls=_distinct(answer.tool_calls))
        draft.steps.append(answer)
        draft.pending = {call.call_id: call for call in answer.tool_calls}

    def retrieved(self, step: Retrieved) -> bool:
        """Adds passages that the model was given; returns False if no turn is open that has not been answered."""
        if self._draft is None or self._draft.steps:
            return False
        self._draft.steps.append(step)
        return True

    def result(
        self, call_id: str, content: Content, metadata: dict[str, Any] | None = None, at: int = 0
    ) -> bool:
        """Adds the result of a call of the last answer; returns False if no such call waits for one."""
        draft = self._draft
        call = draft.pending.get(call_id) if draft is not None else None
        if draft is None or call is None or call_id in draft.results:
            return False
        draft.results[call_id] = ToolResponse(call_id, call.tool_name, content, metadata)
        draft.results_at = max(draft.results_at, at)
        return True

    def late_result(self, call_id: str, content: Content, at: int = 0, boundary: str = "") -> bool:
        """Adds, as input of a turn, the result of a call that the turn before left open; returns False if there is no such
        call."""
        if call_id not in self._open and call_id not in (self._draft.pending if self._draft else {}):
            return False
        self.input(InputMessage(role="tool", call_id=call_id, content=content), at, boundary)
        self._open.pop(call_id, None)
        return True

    def waiting(self) -> list[str]:
        """Returns the ids of calls of the last answer that have no result yet."""
        draft = self._draft
        return [] if draft is None else [one for one in draft.pending if one not in draft.results]

    def last_text(self) -> Content:
        """Returns the text of the last answer in the present turn, "" if there is none."""
        steps = self._draft.steps if self._draft is not None else []
        return next(
            (step.content for step in reversed(steps) if isinstance(step, Inference) and step.content), ""
        )

    def said(self, content: Content, at: int = 0) -> None:
        """Sets the output of the turn to a text that is not an answer of the model."""
        draft = self._draft or self._begin(at, "")
        self._settle(draft)
        draft.output, draft.output_at = content, at

    def end(self, status: str, error: TurnError | None = None, refused: str = "") -> None:
        """Sets the outcome of the present turn, if it is known; `refused` is the touchpoint of a shield that ended it."""
        if self._draft is not None:
            self._draft.status, self._draft.error, self._draft.refused = status, error, refused

    def turns(self) -> tuple[ImportedTurn, ...]:
        self._close()
        return tuple(self._turns)

    def _begin(self, at: int, boundary: str) -> _Draft:
        self._close()
        self._draft = _Draft(at, boundary)
        return self._draft

    def _settle(self, draft: _Draft, goes_on: bool = False) -> None:
        """Ends the execution of tools: calls without a result are answered with a note if others have one, or if another
        answer follows."""
        if draft.pending and (draft.results or goes_on):
            responses = [
                draft.results.get(call_id) or ToolResponse(call_id, call.tool_name, NO_RESULT)
                for call_id, call in draft.pending.items()
            ]
            draft.steps.append(Results(responses=tuple(responses), ended_at=draft.results_at))
            draft.pending = {}
        draft.results, draft.results_at = {}, 0

    def _close(self) -> None:
        draft, self._draft = self._draft, None
        if draft is None:
            return
        self._settle(draft)
        self._open = draft.pending
        last = draft.steps[-1] if draft.steps else None
        is_answered = isinstance(last, Inference) or draft.output is not None
        status = draft.status or (
            "abandoned" if draft.pending else "completed" if is_answered else "cancelled"
        )
        self._turns.append(
            ImportedTurn(
                input_messages=tuple(draft.input_messages),
                documents=tuple(draft.documents),
                steps=tuple(draft.steps),
                status=status,
                began_at=draft.began_at,
                ended_at=draft.output_at,
                output=draft.output,
                error=draft.error,
                refused=draft.refused if draft.refused in TOUCHPOINTS else "",
            )
        )


def _distinct(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    """Returns the calls with ids that differ from each other and are not empty."""
    taken: set[str] = set()
    found = []
    for number, call in enumerate(calls, 1):
        call_id = call.call_id or f"call_{number}"
        while call_id in taken:
            call_id = f"{call_id}_{number}"
        taken.add(call_id)
        found.append(ToolCall(call_id, call.tool_name, call.arguments))
    return tuple(found)
