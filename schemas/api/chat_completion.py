"""Chat completions in the OpenAI format (not part of the Llama Stack specification). Unknown fields are
passed through."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ChatCompletionRequest(Struct, frozen=True, kw_only=True):
    """A chat completion request in the OpenAI format.

    `model` is `<provider>/<model>`, or a bare name that only one provider has. All other fields are forwarded
    to the model server unchanged, which validates them.
    """

    model: str
    messages: list[dict[str, Any]]
    stream: bool | None = None


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """The model server's response, unchanged."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


class ChatCompletionChunk(Struct, frozen=True, kw_only=True):
    """One event of a streamed response; the last one is `[DONE]`. An event with `error` ends an interrupted
    response."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


class OpenAIError(Struct, frozen=True):
    """An error in the format that OpenAI clients parse."""

    message: str
    type: str
    param: str | None = None
    code: str | int | None = None


class OpenAIErrorResponse(Struct, frozen=True):
    """The body of an error response."""

    error: OpenAIError
