"""One file of the telemetry log: a header, then entries, each with its length and a checksum."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from telemetry.log import Compression, Encoding, Entry, Signal

MAGIC = b"RSTLOG1\n"
SUFFIX = ".telemetry"

_HEADER = struct.Struct("<8s32sQ")  # magic, epoch, position of the first entry
# Checksum of all that follows it, length of the body, position, time of receipt, signal, encoding, compression.
_CHECKSUM = struct.Struct("<I")
_FRAME = struct.Struct("<IQQBBBx")
HEADER_BYTES = _HEADER.size
FRAME_BYTES = _CHECKSUM.size + _FRAME.size
MAX_BODY_BYTES = 256 * 2**20
"""No entry is as long as this; a longer length is no length."""

_SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
_ENCODINGS: tuple[Encoding, ...] = ("protobuf", "json")
_COMPRESSIONS: tuple[Compression, ...] = ("identity", "gzip", "deflate")


class Framed(NamedTuple):
    """An entry that was found in a file, and where the next one begins."""

    position: int
    entry: Entry
    end: int


def path_of(folder: Path, first: int) -> Path:
    return folder / f"{first:020d}{SUFFIX}"


def first_of(path: Path) -> int:
    """The position that the file's name gives. Raises ValueError."""
    return int(path.name.removesuffix(SUFFIX))


def header(epoch: str, first: int) -> bytes:
    return _HEADER.pack(MAGIC, epoch.encode(), first)


def is_of(file: int, epoch: str, first: int) -> bool:
    """Whether the file is a segment of this log that begins with this position."""
    return os.pread(file, HEADER_BYTES, 0) == header(epoch, first)


def framed(position: int, entry: Entry) -> tuple[bytes, bytes]:
    """What is written for an entry: its frame and its body."""
    frame = _FRAME.pack(
        len(entry.body),
        position,
        entry.received_ns,
        _SIGNALS.index(entry.signal),
        _ENCODINGS.index(entry.encoding),
        _COMPRESSIONS.index(entry.compression),
    )
    checksum = zlib.crc32(entry.body, zlib.crc32(frame))
    return _CHECKSUM.pack(checksum) + frame, entry.body


def entry_at(file: int, offset: int, position: int) -> Framed | None:
    """The entry with this position that begins at `offset`; None where there is no whole one."""
    head = os.pread(file, FRAME_BYTES, offset)
    if len(head) < FRAME_BYTES:
        return None
    (checksum,) = _CHECKSUM.unpack_from(head)
    length, found, received_ns, signal, encoding, compression = _FRAME.unpack_from(head, _CHECKSUM.size)
    if found != position or length > MAX_BODY_BYTES:
        return None
    body = os.pread(file, length, offset + FRAME_BYTES)
    if len(body) < length or zlib.crc32(body, zlib.crc32(head[_CHECKSUM.size :])) != checksum:
        return None
    entry = Entry(_SIGNALS[signal], _ENCODINGS[encoding], _COMPRESSIONS[compression], received_ns, body)
    return Framed(position, entry, offset + FRAME_BYTES + length)


def entries(file: int, first: int) -> Iterator[Framed]:
    """The whole entries of a segment, up to the first that is none."""
    position, offset = first, HEADER_BYTES
    while (found := entry_at(file, offset, position)) is not None:
        yield found
        position, offset = position + 1, found.end


def skip(file: int, offset: int, position: int) -> int | None:
    """Where the entry behind this one begins, told from its frame alone; None where there is no frame."""
    head = os.pread(file, FRAME_BYTES, offset)
    if len(head) < FRAME_BYTES:
        return None
    length, found, *_ = _FRAME.unpack_from(head, _CHECKSUM.size)
    return offset + FRAME_BYTES + length if found == position and length <= MAX_BODY_BYTES else None
