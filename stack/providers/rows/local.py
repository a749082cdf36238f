"""Rows of a local file for a command: any file that the user can read, by the same worker as the server's."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from stack.errors import Invalid
from stack.providers.rows.frames import Job
from stack.providers.rows.port import RowBlock
from stack.providers.rows.process import Workers
from stack.providers.rows.settings import ReadLimits
from stack.workers.descriptor import Descriptor


async def local_rows(path: Path, limits: ReadLimits | None = None) -> AsyncGenerator[RowBlock, None]:
    """Reads CSV, JSON, JSONL or Parquet, detected as for URIs. Raises Invalid, TooLarge, UpstreamFailed."""
    limits = limits or ReadLimits()
    content = await asyncio.to_thread(_opened, path)
    job = Job(task="file", content=content.number, limits=limits, shown=str(path), name=path.name)
    workers = Workers()
    try:
        async with aclosing(workers.read(content, job)) as found:
            async for frame in found:
                yield RowBlock(frame.number, frame.payload)
    finally:
        await workers.aclose()


def _opened(path: Path) -> Descriptor:
    try:
        file = Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        raise Invalid(f"{path} cannot be opened: {error.strerror}.") from None
    if not stat.S_ISREG(os.fstat(file.number).st_mode):
        raise Invalid(f"{path} is not a regular file.")
    return file
