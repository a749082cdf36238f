"""Decodes requests in a separate process.

Decoding 512 spans holds the GIL for 4 ms, for which the whole server would have to wait.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from telemetry.log.port import Compression, Content, Encoding, Signal
from telemetry.wire.decoded import Decoded
from telemetry.wire.receive import receive
from telemetry.wire.refusals import Malformed, TooLarge

MEMORY_BYTES = 2**30
"""Memory limit of the process. A request of 20 MiB takes 200 MB; ten million empty values would take much
more."""
ANSWER_S = 60.0
"""Time limit in seconds; a request of 20 MiB takes half a second."""


class Question(Struct, array_like=True):
    """The arguments of `receive`."""

    signal: Signal
    encoding: Encoding
    compression: Compression
    max_bytes: int
    body: bytes


class Answer(Struct, array_like=True):
    """The decoded request, or the error."""

    decoded: Decoded | None = None
    refused: Literal["malformed", "too large", ""] = ""
    reason: str = ""


encode = msgspec.msgpack.Encoder().encode
answer_of = msgspec.msgpack.Decoder(Answer).decode
_question_of = msgspec.msgpack.Decoder(Question).decode


def answer_to(question: Question) -> Answer:
    content = Content(question.signal, question.encoding, question.compression)
    try:
        return Answer(receive(content, question.body, question.max_bytes))
    except Malformed as refusal:
        return Answer(refused="malformed", reason=str(refusal))
    except TooLarge as refusal:
        return Answer(refused="too large", reason=str(refusal))


def _bounded(question: Question) -> Answer:
    try:
        return answer_to(question)
    except MemoryError:
        return Answer(
            refused="too large", reason="To decode the request takes too much memory. Send less at a time."
        )


def answer(task: bytes) -> bytes:
    """Processes one request; both values are encoded."""
    return encode(_bounded(_question_of(task)))
