"""Replaces bodies of requests in a segment's file by others of the same length, so that positions and offsets
stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from telemetry.log.port import Entry
from telemetry.log.segment import Segment, frame

READ_BYTES = 8 * 2**20
_UNFINISHED = ".new"

Edit = Callable[[Entry], bytes | None]
"""Returns the new body of a request, as long as the old one; None to keep it."""


def rewrite(segment: Segment, edit: Edit) -> int:
    """Returns the number of changed requests. The file, to which nothing is appended, is copied, and the copy
    replaces it once it is on disk: after a crash exactly one of them exists. Readers of the old file
    continue. Damaged requests are skipped. Raises OSError, and ValueError for a body of another length."""
    copy = segment.path.with_name(segment.path.name + _UNFINISHED)
    changed = 0
    after = segment.first - 1
    file = None
    try:
        while entries := segment.read(after, READ_BYTES):
            for entry in entries:
                body = edit(entry)
                if body is None:
                    continue
                if len(body) != len(entry.body):
                    raise ValueError(f"position {entry.position} would change its length")
                if file is None:
                    shutil.copyfile(segment.path, copy)
                    file = copy.open("r+b")
                file.seek(segment.offset_of(entry.position))
                file.write(frame(entry._replace(body=body)))
                changed += 1
            after = entries[-1].position
        if file is not None:
            file.flush()
            os.fsync(file.fileno())
            stat = segment.path.stat()
            # The time of the last request, used until the file is read; see `Segment.sealed`.
            os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            copy.replace(segment.path)
    finally:
        if file is not None:
            file.close()
            copy.unlink(missing_ok=True)
    return changed


def remove_unfinished(folder: Path) -> None:
    """Removes unfinished copies after a crash."""
    for copy in folder.glob(f"*{_UNFINISHED}"):
        copy.unlink(missing_ok=True)
