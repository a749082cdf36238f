"""Reads rows in a worker process (see `stack.workers.child`), because it may take much time or memory."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import msgspec

from stack.providers.rows import body, frames
from stack.providers.rows.content import Content
from stack.providers.rows.frames import Frames, Job
from stack.providers.rows.port import RowBlock


def answer(task: bytes) -> Frames:
    # Rows contain no cycles, and the process is short-lived.
    gc.disable()
    return frames.refusing(_answer(msgspec.json.decode(task, type=Job)))


def _answer(job: Job) -> Frames:
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
    # Each format imports what only it needs; DuckDB takes 0.1 s.
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
