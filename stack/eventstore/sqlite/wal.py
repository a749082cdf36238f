"""Looks for damage in the write-ahead log of the event log.

SQLite reads its write-ahead log up to the first invalid frame, and assumes that a crash interrupted the last
write there. The writer syncs each transaction before it starts the next one, so a crash can leave only one
transaction incomplete. Several complete ones after that place prove that the file was damaged there.
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

_HEADER = struct.Struct(">8xI4x8s8x")
_FRAME = struct.Struct(">4xI8s8x")
_LAST_FRAME_AT = 16
"""The offset in the shared index (`-shm`) of the number of frames that are read, in the machine's byte
order."""


def has_frames(database: Path) -> bool:
    """Returns whether the database has a write-ahead log with content."""
    try:
        return wal_path(database).stat().st_size > _HEADER.size
    except FileNotFoundError:
        return False


def wal_path(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def unread_transactions(database: Path) -> int:
    """Returns how many transactions were recorded after the last one that SQLite reads and before the one
    that a crash may have interrupted. Must be called while a connection that has read from the database is
    open."""
    index = database.with_name(database.name + "-shm")
    if not has_frames(database) or not index.is_file():
        return 0
    with index.open("rb") as file:
        file.seek(_LAST_FRAME_AT)
        read = struct.unpack("=I", file.read(4))[0]
    return max(0, _commits_after(wal_path(database), read) - 1)


def _commits_after(wal: Path, frames: int) -> int:
    """Returns the number of commits of the file's current generation after its first `frames` frames."""
    commits: Counter[bytes] = Counter()
    with wal.open("rb") as file:
        header = file.read(_HEADER.size)
        page_bytes, salts = _HEADER.unpack(header)
        is_whole = _is_whole(header)
        if not is_whole:
            page_bytes = _page_bytes(wal.with_name(wal.name.removesuffix("-wal")))
        if not page_bytes:
            return 0
        at = _HEADER.size + frames * (_FRAME.size + page_bytes)
        file.seek(at)
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            pages_after_commit, frame_salts = _FRAME.unpack(head)
            commits[frame_salts] += pages_after_commit > 0
            at += _FRAME.size + page_bytes
            file.seek(at)
    # Without the header, the current generation is unknown.
    return commits[salts] if is_whole else max(commits.values(), default=0)


def _is_whole(header: bytes) -> bool:
    """Returns whether the header matches its checksum."""
    order = {b"\x37\x7f\x06\x82": "<", b"\x37\x7f\x06\x83": ">"}.get(header[:4])
    if order is None:
        return False
    first = second = 0
    words = struct.unpack(f"{order}6I", header[:24])
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) % 2**32
        second = (second + other + first) % 2**32
    return (first, second) == struct.unpack(">2I", header[24:])


def _page_bytes(database: Path) -> int:
    with database.open("rb") as file:
        file.seek(16)
        size = int.from_bytes(file.read(2), "big")
    return 65_536 if size == 1 else size
