"""Finds passages in documents, in a worker process: long documents take seconds."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from stack.providers.retrieval.passages import best_of
from stack.providers.retrieval.port import Text


class Task(Struct, frozen=True):
    query: str
    documents: list[Text]
    max_tokens: int


_decode = msgspec.json.Decoder(Task).decode
_encode = msgspec.json.Encoder().encode


def answer(task: bytes) -> bytes:
    """Returns the passages of a task as JSON."""
    asked = _decode(task)
    return _encode(best_of(asked.query, asked.documents, asked.max_tokens))
