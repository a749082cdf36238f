"""One file of the telemetry log: frames one after the other, each with its length and a checksum.

length of the body (4), CRC-32 of all that follows (4), position (8), microseconds (8), content (1), body
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

from telemetry.log import CONTENTS, Entry

_HEAD = struct.Struct("<II")
_META = struct.Struct("<QQB")
FRAME_BYTES = _HEAD.size + _META.size
"""Of a frame beside its body."""

ENDING = ".otlp"


def frame(entry: Entry) -> bytes:
    meta = _META.pack(entry.position, entry.recorded_at, CONTENTS.index(entry.content))
    checksum = zlib.crc32(entry.body, zlib.crc32(meta))
    return b"".join((_HEAD.pack(len(entry.body), checksum), meta, entry.body))


Take = Callable[[int], bytes]
"""Gives so many of the next bytes, fewer at the end."""


class Segment:
    """A file, named by its first position; `end` is the position that follows its last. `size` is in bytes, `first_at`
    and `last_at` are when its first and its last request were recorded. `offsets[i]`, once known, is where the frame of position `first + i` begins."""

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.end = first
        self.offsets: array[int] | None = array("Q")
        self.size = 0
        self.first_at = 0
        self.last_at = 0

    @classmethod
    def name(cls, folder: Path, first: int) -> Path:
        return folder / f"{first:020d}{ENDING}"

    @classmethod
    def opened(cls, path: Path) -> Segment:
        """Finds the whole frames of a file, up to the first that is torn or damaged. Raises OSError."""
        segment = cls(path, first_of(path))
        with path.open("rb") as file:
            while (found := _read(file.read, segment.end)) is not None:
                segment.added(found)
        return segment

    @classmethod
    def sealed(cls, path: Path, end: int) -> Segment:
        """A file that another one follows, unread: a start does not read gigabytes. Raises OSError."""
        segment = cls(path, first_of(path))
        stat = path.stat()
        segment.end, segment.offsets = end, None
        segment.size, segment.last_at = stat.st_size, stat.st_mtime_ns // 1_000
        return segment

    def added(self, entry: Entry) -> None:
        """Takes note of a frame that was written behind the last one."""
        assert self.offsets is not None
        self.offsets.append(self.size)
        self.end += 1
        self.size += FRAME_BYTES + len(entry.body)
        self.first_at = self.first_at or entry.recorded_at
        self.last_at = entry.recorded_at

    def read(self, after: int, max_bytes: int) -> list[Entry]:
        """At least one entry if there is one behind `after`. Raises OSError, and ValueError for a damaged frame."""
        offsets = self.offsets
        if offsets is None:
            offsets = self.offsets = Segment.opened(self.path).offsets
            assert offsets is not None
        start, count = max(0, after + 1 - self.first), len(offsets)
        if start >= count:
            return []

        def offset(index: int) -> int:
            return offsets[index] if index < count else self.size

        stop = start + 1
        while stop < count and offset(stop + 1) - offsets[start] <= max_bytes:
            stop += 1
        with self.path.open("rb") as file:
            file.seek(offsets[start])
            return _entries(
                memoryview(file.read(offset(stop) - offsets[start])), self.first + start, stop - start
            )

    def cut(self, size: int) -> None:
        """Cuts the file to `size` bytes, durably. Raises OSError."""
        with self.path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())


def first_of(path: Path) -> int:
    """The first position of a segment's file. Raises ValueError for any other file."""
    return int(path.name.removesuffix(ENDING))


def _entries(content: memoryview, position: int, count: int) -> list[Entry]:
    found: list[Entry] = []
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return bytes(content[at - count : at])

    while len(found) < count:
        entry = _read(take, position + len(found))
        if entry is None:
            raise ValueError(f"position {position + len(found)} is damaged")
        found.append(entry)
    return found


def _read(take: Take, expected: int) -> Entry | None:
    """The next frame; None where it is not whole, or not that of position `expected`."""
    head = take(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    meta = take(_META.size)
    body = take(length) if len(meta) == _META.size else b""
    if len(meta) < _META.size or len(body) < length or zlib.crc32(body, zlib.crc32(meta)) != checksum:
        return None
    position, recorded_at, content = _META.unpack(meta)
    if position != expected or content >= len(CONTENTS):
        return None
    return Entry(position, recorded_at, CONTENTS[content], body)


def contents(segments: Sequence[Segment]) -> int:
    """Bytes of all segments together."""
    return sum(segment.size for segment in segments)
