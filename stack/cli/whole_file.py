"""Files that a command writes: completely or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stack.private_files import user_umask


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file, which is there under its name once the block has ended without an error; `-` is the standard
    output."""
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        with user_umask():
            out = partial.open("wb")
        with out:
            yield out
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
