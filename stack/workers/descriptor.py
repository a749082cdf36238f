"""Open files that are closed automatically when they are no longer referenced, however their task ended."""

from __future__ import annotations

import os
import tempfile


class Descriptor:
    """Owns the open file `number`."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


def of_bytes(content: bytes) -> Descriptor:
    """Returns an unnamed file that contains `content`, in memory if the system supports this. Takes 5 ms for
    20 MB, mostly without holding the GIL."""
    if hasattr(os, "memfd_create"):
        made = Descriptor(os.memfd_create("rows", os.MFD_CLOEXEC))
    else:
        with tempfile.TemporaryFile() as file:
            made = Descriptor(os.dup(file.fileno()))
    left = memoryview(content)
    while left:
        left = left[os.write(made.number, left) :]
    return made
