"""The process that decodes requests: a question of one frame on its input, an answer of one on its output.

Decoding 512 spans holds the interpreter for 4 ms; in a process of its own no one else waits for it. It ends with its
input, so that it never outlives the server.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec
from msgspec import Struct

from telemetry.log.port import Compression, Content, Encoding, Signal
from telemetry.wire.decoded import Decoded
from telemetry.wire.receive import receive
from telemetry.wire.refusals import Malformed, TooLarge

LENGTH_BYTES = 8
MEMORY_BYTES = 2**30
"""Of the process. A request of 20 MiB takes 200 MB; one of ten million nothings would take several times as much."""


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


def answer(question: Question) -> Answer:
    content = Content(question.signal, question.encoding, question.compression)
    try:
        return Answer(receive(content, question.body, question.max_bytes))
    except Malformed as refusal:
        return Answer(refused="malformed", reason=str(refusal))
    except TooLarge as refusal:
        return Answer(refused="too large", reason=str(refusal))


def bounded_answer(question: Question) -> Answer:
    try:
        return answer(question)
    except MemoryError:
        return Answer(
            refused="too large", reason="To decode the request takes too much memory. Send less at a time."
        )


def write_frame(file: int, frame: bytes) -> None:
    """Raises OSError, BrokenPipeError where the other side is gone."""
    view = memoryview(len(frame).to_bytes(LENGTH_BYTES, "little") + frame)
    while view:
        view = view[os.write(file, view) :]


def read_frame(read: Callable[[int], bytes]) -> bytes:
    """Empty at the end of the input. `read` gives fewer bytes than asked for only there."""
    head = read(LENGTH_BYTES)
    frame = read(int.from_bytes(head, "little")) if len(head) == LENGTH_BYTES else b""
    return frame


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # Where the server is gone, so is the reader of an answer.
    with suppress(BrokenPipeError), os.fdopen(0, "rb") as questions:
        while frame := read_frame(questions.read):
            write_frame(1, encode(bounded_answer(_question_of(frame))))


if __name__ == "__main__":
    sys.stdout = sys.stderr  # Nothing but frames on file 1.
    main()
