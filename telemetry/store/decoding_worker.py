"""Decodes requests in a process of its own.

Decoding 512 spans holds the interpreter for 4 ms, which everything in the server's process would wait for.
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
"""Of the process. A request of 20 MiB takes 200 MB; one of ten million nothings would take several times as much."""
ANSWER_S = 60.0
"""A request of 20 MiB takes half a second."""


class Question(Struct, array_like=True):
    """As the arguments of `receive`."""

    signal: Signal
    encoding: Encoding
    compression: Compression
    max_bytes: int
    body: bytes


class Answer(Struct, array_like=True):
    """What was decoded, or why nothing was."""

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
    """What the process does with each request; both encoded."""
    return encode(_bounded(_question_of(task)))
