"""Turns as their events would have left them, for tests of what is made of them."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
from msgspec import Raw

from schemas.events.base import Event
from schemas.events.payload import URL as Url
from schemas.events.payload import (
    CompletionMessage,
    Content,
    ContentItem,
    Document,
    ImageSource,
    InputMessage,
    ToolCall,
    ToolResponse,
    TurnError,
)
from schemas.events.turn import (
    FetchedContent,
    Owner,
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepStarted,
)
from stack.domain import turn as turns
from stack.domain.turn import TurnState
from tests.services.pictures import base64_of

OWNER = Owner("node", "boot")


def said(*contents: Content, context: Content | None = None) -> list[InputMessage]:
    return [InputMessage(role="user", content=content, context=context) for content in contents]


def image(data: bytes) -> ContentItem:
    return ContentItem(type="image", image=ImageSource(data=base64_of(data)))


def image_at(url: str) -> ContentItem:
    return ContentItem(type="image", image=ImageSource(url=Url(url)))


def text(value: str) -> ContentItem:
    return ContentItem(type="text", text=value)


def document(content: Any, mime_type: str = "text/plain") -> Document:
    return Document(content=content, mime_type=mime_type)


def call(call_id: str, name: str = "weather", arguments: str = '{"city":"Oslo"}') -> ToolCall:
    return ToolCall(call_id, name, arguments)


class Turn:
    """A turn that is told what happens to it; `events` is all of it, `state` what it folds to."""

    def __init__(
        self,
        messages: list[InputMessage] | str,
        documents: list[Document] | None = None,
        fetched: list[FetchedContent] | None = None,
    ) -> None:
        self.state = TurnState()
        self.events: list[Event] = []
        self._ids = count(1)
        self.apply(
            TurnStarted(
                session_id="s",
                agent_id="a",
                owner=OWNER,
                input_messages=said(messages) if isinstance(messages, str) else messages,
                documents=documents,
                fetched=fetched,
            )
        )

    def apply(self, *events: Event) -> Turn:
        for event in events:
            self.events.append(event)
            version = len(self.events)
            self.state = turns.evolve(self.state, event, 1_700_000_000_000_000 + version, version)
        return self

    def infers(self, content: str, *calls: ToolCall) -> Turn:
        step_id = f"step-{next(self._ids)}"
        reason = "end_of_message" if calls else "end_of_turn"
        output = CompletionMessage(content=content, stop_reason=reason, tool_calls=list(calls) or None)  # type: ignore[arg-type]
        return self.apply(
            TurnStepStarted(step_id=step_id, step_type="inference", attempt=1),
            TurnStepCompleted(step_id=step_id, step_type="inference", output=output),
        )

    def awaits(self) -> Turn:
        waiting = CompletionMessage(
            content="", stop_reason="end_of_message", tool_calls=list(turns.pending_calls(self.state))
        )
        return self.apply(TurnAwaitingInput(output_message=waiting))

    def resumed(self, *contents: Content, fetched: list[FetchedContent] | None = None) -> Turn:
        calls = turns.pending_calls(self.state)
        responses = [
            ToolResponse(call.call_id, call.tool_name, content)
            for call, content in zip(calls, contents, strict=True)
        ]
        return self.apply(*turns.resume(self.state, responses, OWNER, f"step-{next(self._ids)}", fetched))

    def completed(self, content: str) -> Turn:
        return self.apply(
            TurnCompleted(output_message=CompletionMessage(content=content, stop_reason="end_of_turn"))
        )

    def answered(self, content: str) -> Turn:
        return self.infers(content).completed(content)

    def failed(self) -> Turn:
        error = TurnError(502, "Bad Gateway", "It broke.")
        return self.apply(TurnFailed(error=error, output_message=turns.produced(self.state)))

    def cancelled(self) -> Turn:
        return self.apply(TurnCancelled(reason="no more", output_message=turns.produced(self.state)))

    def abandoned(self) -> Turn:
        return self.apply(TurnAbandoned(output_message=turns.produced(self.state)))


def chat(messages: list[Raw]) -> list[dict[str, Any]]:
    """Encoded messages, decoded; an element may hold several."""
    decoded: list[dict[str, Any]] = msgspec.json.decode(b"[%b]" % b",".join(messages))
    return decoded
