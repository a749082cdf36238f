"""Text completions in the OpenAI format (not in the Llama Stack specification). Unknown fields are passed through."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class CompletionRequest(Struct, frozen=True, kw_only=True):
    """A text completion request in the OpenAI format.

    `model` is `<provider>/<model>`, or a bare name that only one provider has. All other fields are forwarded
    to the model server unchanged, which validates them.
    """

    model: str
    prompt: Any
    stream: bool | None = None


class Completion(Struct, frozen=True, kw_only=True):
    """The model server's response, unchanged; also one event of a streamed one, whose last event is `[DONE]`."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None
