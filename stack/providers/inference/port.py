"""The protocol of an inference provider.

Messages travel in the OpenAI chat form, each already encoded as JSON, so that a long history is encoded once
and copied ever after.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import msgspec
from msgspec import Raw, Struct

from schemas.api.model import Model
from schemas.events.payload import TurnUsage

FinishReason = Literal["stop", "length", "tool_calls"]
"""How an answer ended that is whole, or that a limit of tokens cut off. Any other end is a failure."""


class InferenceRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One chat completion to run. `model` is the provider's own name of the model (no provider prefix).

    `messages` and `tools` are JSON objects in the OpenAI chat form; `response_format` likewise. An element of
    `messages` may hold several, with commas between: see `each_message`.
    `tool_choice` is auto, required, none, or the name of one tool. `None` leaves a parameter to the server.
    """

    model: str
    messages: list[Raw]
    tools: list[Raw] = []
    tool_choice: str | None = None
    response_format: Raw | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    max_tokens: int | None = None
    stop: list[str] = []

    def each_message(self) -> list[Raw]:
        """The messages one by one. Raises msgspec.DecodeError."""
        return _messages(b"[%b]" % b",".join(self.messages))


_messages = msgspec.json.Decoder(list[Raw]).decode


class Retrying(Struct, frozen=True):
    """The request failed in a way that may pass and is repeated in `wait_s` seconds. Nothing was answered yet."""

    wait_s: float


class Opened(Struct, frozen=True):
    """The upstream accepted the request: its answer has begun. The first event, but for `Retrying`."""


class TextChunk(Struct, frozen=True):
    """A non-empty piece of the answer's text."""

    text: str


class ReasoningChunk(Struct, frozen=True):
    """A non-empty piece of what the model thought before it answered. It is no part of the answer."""

    text: str


class ToolCallChunk(Struct, frozen=True):
    """A piece of a tool call. `call_id` and `name` come with the first piece of a call (else empty);
    `arguments` is the next fragment of its JSON text. Calls come one after the other, never interleaved."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class Finished(Struct, frozen=True):
    """Always the last event of an answer that ended as it should. `usage` has what the server said about it."""

    reason: FinishReason
    usage: TurnUsage
    response_id: str = ""
    response_model: str = ""


InferenceEvent = Retrying | Opened | TextChunk | ReasoningChunk | ToolCallChunk | Finished


class RelayedRequest(Struct, frozen=True, kw_only=True):
    """A chat completion as its caller wrote it: `body` is a JSON object in the OpenAI form, of which nothing is
    known but `model`, the provider's own name. `streamed` says what it asks for."""

    body: bytes
    model: str
    streamed: bool = False


class RelayedAnswer(Struct, frozen=True, kw_only=True):
    """What the server answered, failures too. `headers` are those that concern the caller, in lower case. The
    pieces of a `streamed` answer come as they arrive; any other has one piece, the whole body. Reading them
    raises UpstreamFailed and UpstreamTimeout. `quote` takes secrets out of words of the server."""

    status: int
    headers: dict[str, str]
    pieces: AsyncGenerator[bytes]
    streamed: bool = False
    quote: Callable[[str], str] = lambda text: text


class Capabilities(Struct, frozen=True):
    """What a provider can do beyond text; what it cannot is refused with 400 before a turn starts."""

    top_k: bool = False
    repetition_penalty: bool = False
    grammar: bool = False
    images: bool = True


class InferenceProvider(Protocol):
    @property
    def id(self) -> str:
        """The prefix of its models: `<id>/<model>`."""
        ...

    @property
    def base_url(self) -> str:
        """Where its server is, as it may be shown; empty for an embedded one."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def models(self) -> list[Model]:
        """Its models. Raises UpstreamFailed, UpstreamTimeout or Unavailable when it cannot be asked."""
        ...

    def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        """Streams one answer; `headers` (traceparent) go upstream. Closing the iterator cancels the request
        at the upstream. Raises Invalid (400), TooManyRequests, Unavailable, UpstreamFailed, UpstreamTimeout."""
        ...

    def relay(
        self, request: RelayedRequest, *, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[RelayedAnswer]:
        """Sends a request on as it is and gives back the answer as it is, an error in the OpenAI form whatever
        the server wrote. Leaving the context cancels what is still under way. Raises Invalid, Unavailable,
        UpstreamFailed (no answer, or one that is not for the caller: of redirects and credentials) and
        UpstreamTimeout."""
        ...

    async def aclose(self) -> None: ...
