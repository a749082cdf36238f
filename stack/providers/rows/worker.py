"""The process that reads rows for a server: one job, then it ends. Run with `python -m`."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stack.errors import Invalid, ReplaystackError
from stack.providers.rows import body, frames
from stack.providers.rows.content import Content
from stack.providers.rows.frames import Job, Refusal
from stack.providers.rows.port import RowBlock
from stack.providers.rows.settings import ReadLimits

NICE = 5
# Grace between the signal that says so and the one that nothing survives.
_HARD_CPU_S = 5


def main() -> None:
    job = msgspec.json.decode(first_line(), type=Job)
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    # Whatever a library prints must not come between the frames.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit(job.limits)
    # Rows are trees, and their process is short.
    gc.disable()
    try:
        for kind, count, payload in _answer(job):
            frames.write(out, kind, payload, count)
        frames.write(out, frames.DONE)
    except BrokenPipeError:
        os._exit(1)
    except ReplaystackError as error:
        frames.write(out, frames.REFUSED, msgspec.json.encode(Refusal(error.status, error.detail)))
    except MemoryError:
        refusal = Refusal(
            Invalid.status,
            f"{job.shown} takes more memory to read than the {job.limits.memory_bytes} bytes there are for it. "
            "Split it, or send it as JSONL or CSV.",
        )
        frames.write(out, frames.REFUSED, msgspec.json.encode(refusal))
    except Exception:
        frames.write(out, frames.FAULT, traceback.format_exc().encode())
    # The thread that watches is in the middle of a read.
    os._exit(0)


def limit(limits: ReadLimits, file_bytes: int = 0) -> None:
    """Bounds this process, which reads what strangers wrote. It may write files up to `file_bytes`."""
    os.nice(NICE)
    with contextlib.suppress(OSError):
        # Where memory runs out, this process goes and not the server.
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + _HARD_CPU_S))
    with contextlib.suppress(ValueError, OSError):
        # Not every system has it.
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def _answer(job: Job) -> Iterator[tuple[int, int, bytes]]:
    if job.task == "body":
        taken = body.take(_whole(job.content), job.path, job.limits)
        yield frames.ENVELOPE, 0, taken.envelope
        found: Iterator[RowBlock] = taken.blocks
    else:
        found = _rows(job)
    for block in found:
        yield frames.BLOCK, block.count, block.lines


def _rows(job: Job) -> Iterator[RowBlock]:
    from stack.providers.rows.file_format import format_of

    content = Content(job.content, job.shown, job.limits)
    form = format_of(content, job.name, job.media_type)
    # Each imports what only it needs; DuckDB takes 0.1 s.
    match form:
        case "csv" | "tsv":
            from stack.providers.rows.csv_file import csv_rows

            yield from csv_rows(content, "\t" if form == "tsv" else None)
        case "json" | "jsonl":
            from stack.providers.rows.json_file import json_rows

            yield from json_rows(content, lines=form == "jsonl")
        case "parquet":
            from stack.providers.rows.parquet_file import parquet_rows

            yield from parquet_rows(content)
    content.check_unchanged()


def _whole(fd: int) -> bytes:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        return file.read()


def first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            sys.exit(1)
        line += piece
    return line


def _end_with_the_server() -> None:
    """The server holds the other end of standard input: when it closes, no one wants the answer any more."""
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
