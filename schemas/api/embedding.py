"""Embeddings in the OpenAI format (not in the Llama Stack specification). Unknown fields are passed through."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class EmbeddingsRequest(Struct, frozen=True, kw_only=True):
    """A request for embeddings in the OpenAI format.

    `model` is `<provider>/<model>`, or a bare name that only one provider has. `input` is a text, a list of texts, or
    tokens. All fields but `model` are forwarded to the model server unchanged, which validates them.
    """

    model: str
    input: Any


class Embeddings(Struct, frozen=True, kw_only=True):
    """The model server's response, unchanged."""

    object: str
    data: list[dict[str, Any]]
    model: str
    usage: dict[str, Any] | None = None
