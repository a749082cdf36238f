"""The process that scores rows which may take long, hang or crash.

`python -m stack.providers.scoring.worker SECONDS` (of computing, for each row) reads frames from its standard input and
answers each with one on its standard output: four bytes with the length of the rest, which is a `Task` or an `Answer`
in JSON. It ends with its input. The limits are its own, so that they hold when the server is gone.
"""

from __future__ import annotations

import importlib
import logging
import os
import resource
import sys
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from schemas.api.scoring_function import ScoringFnParams
from stack.providers.scoring.port import ScoreRow
from stack.providers.scoring.registry import DEFINITIONS
from stack.providers.scoring.scored import failed, scored

MEMORY_BYTES = 1 << 30
LENGTH_BYTES = 4


class Task(Struct, frozen=True):
    """One row to be scored."""

    function: str
    params: ScoringFnParams
    row: dict[str, Any]


class Answer(Struct, frozen=True):
    """The score row. With `leaving` the process ends and takes no further task."""

    score_row: ScoreRow
    leaving: bool = False


def framed(message: Struct) -> bytes:
    body = msgspec.json.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def main() -> None:
    cpu_s = int(sys.argv[1])
    _limit()
    tasks = msgspec.json.Decoder(Task)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while body := _frame(source):
        answer = _answer(tasks, body, cpu_s)
        target.write(framed(answer))
        target.flush()
        if answer.leaving:
            return


def _limit() -> None:
    """Memory is bounded, the server comes first, and no crash leaves a core file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)
    logging.disable(logging.CRITICAL)


def _answer(tasks: msgspec.json.Decoder[Task], body: bytes, cpu_s: int) -> Answer:
    try:
        task = tasks.decode(body)
        function = DEFINITIONS[task.function]
        for library in function.libraries:
            importlib.import_module(library)
        _grant_time(cpu_s)
        return Answer(scored(function, task.params, task.row))
    except MemoryError:
        return Answer(
            failed(f"The row needs more than {MEMORY_BYTES >> 20} MiB of memory to be scored."), True
        )


def _grant_time(cpu_s: int) -> None:
    """Time of day would fail rows on a busy machine; what takes more computing time is ended by SIGXCPU."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(usage.ru_utime + usage.ru_stime) + cpu_s + 1
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _frame(source: BinaryIO) -> bytes:
    """The next frame; empty at the end."""
    length = source.read(LENGTH_BYTES)
    return source.read(int.from_bytes(length, "big")) if len(length) == LENGTH_BYTES else b""


if __name__ == "__main__":
    main()
