"""Chat completions in the OpenAI form (not part of the Llama Stack specification): what is known of them; the rest is passed through."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ChatCompletionRequest(Struct, frozen=True, kw_only=True):
    """A chat completion as OpenAI has it. All but `model` goes to the model server as it is, which decides about it.

    `model` is `<provider>/<model>`, or a bare name that only one provider has.
    """

    model: str
    messages: list[dict[str, Any]]
    stream: bool | None = None


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """The model server's answer, as it gave it."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


class ChatCompletionChunk(Struct, frozen=True, kw_only=True):
    """One event of a streamed answer; the last one is `[DONE]`. One with `error` ends an answer that broke off."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


class OpenAIError(Struct, frozen=True):
    """What went wrong, as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None = None
    code: str | int | None = None


class OpenAIErrorResponse(Struct, frozen=True):
    """The body of an answer that is no success."""

    error: OpenAIError
