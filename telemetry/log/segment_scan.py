"""Reads a segment file frame by frame, and continues after damage at the next intact frame.

A frame is intact if its checksum matches its content and its position is consistent with those before it. A
wrong length therefore only loses the frame itself.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from array import array
from pathlib import Path

from msgspec import Struct, field

from telemetry.log.port import CONTENTS, Entry

_HEAD = struct.Struct("<II")
_META = struct.Struct("<QQB")
FRAME_BYTES = _HEAD.size + _META.size
"""The size of a frame without its body, in bytes."""
_POSITION_AT = _HEAD.size
# Positions of consecutive frames are equal in all but these lowest bytes, or differ by one in the bytes above
# them.
_LOW_BYTES = 3


def frame(entry: Entry) -> bytes:
    """Encodes: length of the body (4), CRC-32 of the rest (4), position (8), microseconds (8), content (1),
    body."""
    meta = _META.pack(entry.position, entry.recorded_at, CONTENTS.index(entry.content))
    checksum = zlib.crc32(entry.body, zlib.crc32(meta))
    return b"".join((_HEAD.pack(len(entry.body), checksum), meta, entry.body))


class Gap(Struct, frozen=True):
    """Bytes at `offset` that are not a frame, and the missing positions `first` to `last`. Either may be
    empty: `size` is 0, or `last` is `first - 1`."""

    offset: int
    size: int
    first: int
    last: int


class Scan(Struct):
    """The intact frames of a file: their positions and offsets, and the times at which the first and the last
    one were recorded. `size` is the end of the last one, `end` the position after it. `torn` is the number of
    bytes after it that may belong to an unfinished write."""

    size: int
    end: int
    first_at: int = 0
    last_at: int = 0
    torn: int = 0
    positions: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    gaps: list[Gap] = field(default_factory=list)


def scan(path: Path, first: int, end: int | None, acknowledged: int = 0) -> Scan:
    """Returns all intact frames from position `first` on; `end` is the first position of the next file, None
    for the newest file. There, bytes at the end belong to an unfinished write if they cannot be acknowledged:
    if they are too short for a frame, or zeros, and not up to position `acknowledged`. Raises OSError."""
    found = Scan(0, first)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size:
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
                _scan(content, found, end)
                _take_tail(content, found, end, acknowledged)
    if end is None:
        missing = max(found.end, acknowledged + 1)
        if missing > found.end and not (found.gaps and found.gaps[-1].last >= acknowledged):
            found.gaps.append(Gap(found.size, 0, found.end, acknowledged))
    elif found.end < end and not (found.gaps and found.gaps[-1].last == end - 1):
        found.gaps.append(Gap(found.size, 0, found.end, end - 1))
    return found


def entry_at(content: mmap.mmap | bytes, offset: int, first: int, last: int) -> Entry | None:
    """Returns the intact frame at `offset` with a position from `first` to `last`; None if there is none."""
    if offset + FRAME_BYTES > len(content):
        return None
    length, checksum = _HEAD.unpack_from(content, offset)
    position, recorded_at, kind = _META.unpack_from(content, offset + _POSITION_AT)
    if not first <= position <= last or kind >= len(CONTENTS):
        return None
    end = offset + FRAME_BYTES + length
    if end > len(content) or zlib.crc32(content[offset + _POSITION_AT : end]) != checksum:
        return None
    return Entry(position, recorded_at, CONTENTS[kind], content[offset + FRAME_BYTES : end])


def first_recorded_at(path: Path) -> int:
    """Returns when the first frame of a file was recorded, unchecked; 0 if the file does not begin with a
    frame."""
    with path.open("rb") as file:
        head = file.read(FRAME_BYTES)
    if len(head) < FRAME_BYTES:
        return 0
    position, recorded_at, _ = _META.unpack_from(head, _POSITION_AT)
    return recorded_at if path.name.startswith(f"{position:020d}") else 0


def _scan(content: mmap.mmap, found: Scan, end: int | None) -> None:
    at = 0
    while at < len(content):
        last = (end - 1) if end is not None else found.end + (len(content) - at) // FRAME_BYTES
        offset = at
        entry = entry_at(content, at, found.end, last)
        if entry is None:
            next_frame = _next_frame(content, at, found.end, last)
            if next_frame is None:
                return
            offset, entry = next_frame
        if offset > at or entry.position > found.end:
            found.gaps.append(Gap(at, offset - at, found.end, entry.position - 1))
        found.positions.append(entry.position)
        found.offsets.append(offset)
        found.first_at = found.first_at or entry.recorded_at
        found.last_at = entry.recorded_at
        at = found.size = offset + FRAME_BYTES + len(entry.body)
        found.end = entry.position + 1


def _next_frame(content: mmap.mmap, damaged: int, first: int, last: int) -> tuple[int, Entry] | None:
    """Returns the first intact frame after the one that begins at `damaged`."""
    if damaged + FRAME_BYTES <= len(content):
        # Most likely its length is correct.
        after = damaged + FRAME_BYTES + _HEAD.unpack_from(content, damaged)[0]
        entry = entry_at(content, after, first, last)
        if entry is not None:
            return after, entry
    best: tuple[int, Entry] | None = None
    possible = min(last, first + (len(content) - damaged) // FRAME_BYTES)
    for high in range(first >> 8 * _LOW_BYTES, (possible >> 8 * _LOW_BYTES) + 1):
        mark = high.to_bytes(8 - _LOW_BYTES, "little")
        at = damaged + 1 + _POSITION_AT + _LOW_BYTES
        until = len(content) if best is None else best[0] + _POSITION_AT + 8
        while (at := content.find(mark, at, until)) >= 0:
            offset = at - _POSITION_AT - _LOW_BYTES
            entry = entry_at(content, offset, first, possible)
            if entry is not None:
                best = (offset, entry)
                break
            at += 1
    return best


def _take_tail(content: mmap.mmap, found: Scan, end: int | None, acknowledged: int) -> None:
    """Classifies the bytes after the last intact frame."""
    rest = len(content) - found.size
    if not rest:
        return
    if end is not None:
        found.gaps.append(Gap(found.size, rest, found.end, end - 1))
    elif acknowledged < found.end and _is_unfinished(content, found.size):
        found.torn = rest
    else:
        found.gaps.append(Gap(found.size, rest, found.end, max(found.end, acknowledged)))


def _is_unfinished(content: mmap.mmap, at: int) -> bool:
    """Returns whether the bytes from `at` on are zeros, or less than the frame that begins there, ignoring
    final zeros."""
    last = len(content)
    while last > at and content[last - 1] == 0:
        last -= 1
    if last - at < FRAME_BYTES:
        return True
    return at + FRAME_BYTES + int(_HEAD.unpack_from(content, at)[0]) > last
