"""The messages between a server and a worker process: a header with kind, number and length, then the
payload."""

from __future__ import annotations

import os
import struct
from typing import IO

from msgspec import Struct

_HEAD = struct.Struct("<BIQ")

DONE, FAULT, EXHAUSTED, TASK = 0, 1, 2, 3
OWN = 16
"""The first kind that is defined by the user of the worker."""
MAX_FRAME_BYTES = 2**31


class Frame(Struct, frozen=True):
    """TASK is sent to the worker. It answers with any number of frames of user-defined kinds, whose `number`
    is user-defined, and ends its answer with one of: DONE; FAULT, with a traceback as its payload; EXHAUSTED
    for a task that needs more memory than allowed."""

    kind: int
    number: int
    payload: bytes


def write(target: int, kind: int, payload: bytes = b"", number: int = 0) -> None:
    """Writes a whole frame to a file descriptor. Raises OSError, BrokenPipeError if the other side has
    ended."""
    left = [memoryview(_HEAD.pack(kind, number, len(payload))), memoryview(payload)]
    while left:
        written = os.writev(target, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def read(source: IO[bytes]) -> Frame | None:
    """Returns the next frame of a worker's input, or None at its end."""
    head = source.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, number, length = _HEAD.unpack(head)
    payload = source.read(length)
    return Frame(kind, number, payload) if len(payload) == length else None


class Incoming:
    """Assembles the frames of a worker from the parts read from a pipe."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, piece: bytes) -> None:
        self._data += piece

    def next(self) -> Frame | None:
        """Returns None if the next frame is not complete. Raises ConnectionError if it is too large."""
        if len(self._data) < _HEAD.size:
            return None
        kind, number, length = _HEAD.unpack_from(self._data)
        if length > MAX_FRAME_BYTES:
            raise ConnectionError(f"a worker sends a frame of {length} bytes")
        end = _HEAD.size + length
        if len(self._data) < end:
            return None
        payload = bytes(memoryview(self._data)[_HEAD.size : end])
        del self._data[:end]
        return Frame(kind, number, payload)
