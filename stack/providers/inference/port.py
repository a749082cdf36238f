"""The protocol of an inference provider.

Messages are in OpenAI's chat format, each already encoded as JSON, so that a long history is encoded only
once and then copied.
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
"""How a complete answer, or one that reached a token limit, ended. Any other end is a failure."""


class InferenceRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One chat completion to run. `model` is the provider's own name of the model (no provider prefix).

    `messages` and `tools` are JSON objects in OpenAI's chat format, as is `response_format`. An element of
    `messages` may hold several messages, separated by commas: see `each_message`. `tool_choice` is auto,
    required, none, or the name of one tool. `None` leaves a parameter to the server.
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
        """Returns the individual messages. Raises msgspec.DecodeError."""
        return _messages(b"[%b]" % b",".join(self.messages))


_messages = msgspec.json.Decoder(list[Raw]).decode


class Retrying(Struct, frozen=True):
    """The request failed temporarily and is retried in `wait_s` seconds. No part of an answer was received
    yet."""

    wait_s: float


class Opened(Struct, frozen=True):
    """The upstream accepted the request: its answer has started. The first event, except for `Retrying`."""


class TextChunk(Struct, frozen=True):
    """A non-empty part of the answer's text."""

    text: str


class ReasoningChunk(Struct, frozen=True):
    """A non-empty part of the model's reasoning before its answer. It is not part of the answer."""

    text: str


class ToolCallChunk(Struct, frozen=True):
    """A part of a tool call. `call_id` and `name` are set on the first part of a call (otherwise empty);
    `arguments` is the next fragment of its JSON text. Calls follow each other and are never interleaved."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class Finished(Struct, frozen=True):
    """Always the last event of an answer that ended properly. `usage` holds what the server reported."""

    reason: FinishReason
    usage: TurnUsage
    response_id: str = ""
    response_model: str = ""


InferenceEvent = Retrying | Opened | TextChunk | ReasoningChunk | ToolCallChunk | Finished


class RelayedRequest(Struct, frozen=True, kw_only=True):
    """A request as its caller wrote it: `body` is a JSON object in OpenAI's format, of which only `model` is known, the
    provider's own name. `path` is that of the operation under the server's `base_url`; `streamed` is whether it
    requests a stream."""

    path: str
    body: bytes
    model: str
    streamed: bool = False


class RelayedAnswer(Struct, frozen=True, kw_only=True):
    """The server's response, including failures. `headers` are those that concern the caller, in lower case.
    The parts of a `streamed` response are yielded as they arrive; any other has one part, the whole body.
    Reading them raises UpstreamFailed and UpstreamTimeout. `quote` removes secrets from text of the
    server."""

    status: int
    headers: dict[str, str]
    pieces: AsyncGenerator[bytes]
    streamed: bool = False
    quote: Callable[[str], str] = lambda text: text


class Capabilities(Struct, frozen=True):
    """The features that a provider supports beyond text; unsupported requests are refused with 400 before a
    turn
    starts."""

    top_k: bool = False
    repetition_penalty: bool = False
    grammar: bool = False
    images: bool = True


class InferenceProvider(Protocol):
    @property
    def id(self) -> str:
        """The prefix of its models' names: `<id>/<model>`."""
        ...

    @property
    def base_url(self) -> str:
        """The URL of its server, without secrets; empty for an embedded provider."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def models(self) -> list[Model]:
        """Returns its models. Raises UpstreamFailed, UpstreamTimeout or Unavailable if it cannot be
        reached."""
        ...

    def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        """Streams one answer; `headers` (traceparent) are sent upstream. Closing the iterator cancels the
        request at the upstream. Raises Invalid (400), TooManyRequests, Unavailable, UpstreamFailed,
        UpstreamTimeout."""
        ...

    def relay(
        self, request: RelayedRequest, *, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[RelayedAnswer]:
        """Forwards a request unchanged and returns the response unchanged, an error in OpenAI's format
        whatever the server sent. Leaving the context cancels a running request. Raises Invalid, Unavailable,
        UpstreamFailed (no response, or one that is not for the caller, about redirects or credentials) and
        UpstreamTimeout."""
        ...

    async def aclose(self) -> None: ...
