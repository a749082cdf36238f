"""One file of the telemetry log: consecutive frames, each with its length and a checksum."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from telemetry.log.port import Entry
from telemetry.log.segment_scan import FRAME_BYTES, Gap, Scan, entry_at, first_recorded_at, frame, scan

ENDING = ".otlp"


class Segment:
    """A file, named by its first position; `end` is the position after its last. `size` is in bytes;
    `first_at` and `last_at` are the times at which its first and last request were recorded. `offsets[i]`,
    once known, is the offset of the frame of `positions[i]`; missing positions were lost to damage."""

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.end = first
        self.positions: array[int] | None = array("Q")
        self.offsets: array[int] = array("Q")
        self.gaps: list[Gap] = []
        self.is_sealed = False
        self.is_checked = False
        self.size = 0
        self.first_at = 0
        self.last_at = 0

    @classmethod
    def name(cls, folder: Path, first: int) -> Path:
        return folder / f"{first:020d}{ENDING}"

    @classmethod
    def opened(cls, path: Path, acknowledged: int = 0) -> Segment:
        """Opens the newest file, and cuts off an unfinished write at its end. A damaged file is not written
        any further. Requests up to position `acknowledged` are known to have been in the log. Raises
        OSError."""
        segment = cls(path, first_of(path))
        found = scan(path, segment.first, None, acknowledged)
        segment._take(found)
        segment.end, segment.size = found.end, found.size
        segment.first_at, segment.last_at = found.first_at, found.last_at
        if found.torn:
            segment.cut(found.size)
        if found.gaps:
            segment.is_sealed = True
            segment.size = path.stat().st_size
            segment.end = max(found.end, found.gaps[-1].last + 1)
        return segment

    @classmethod
    def sealed(cls, path: Path, following: Path) -> Segment:
        """Opens a file that is followed by another one, without reading it, so that a start does not read
        gigabytes. `last_at` is the time at which the first request of `following` was recorded: a time of the
        file system would depend on the clock at that moment. Raises OSError."""
        segment = cls(path, first_of(path))
        segment.end, segment.positions, segment.is_sealed = first_of(following), None, True
        segment.size = path.stat().st_size
        # Of two times, one that is earlier because of damage is ignored.
        segment.last_at = (
            max(first_recorded_at(following), first_recorded_at(path)) or path.stat().st_mtime_ns // 1_000
        )
        return segment

    def added(self, entry: Entry) -> None:
        """Must be called after a frame was written after the last one."""
        assert self.positions is not None
        self.positions.append(entry.position)
        self.offsets.append(self.size)
        self.end = entry.position + 1
        self.size += FRAME_BYTES + len(entry.body)
        self.first_at = self.first_at or entry.recorded_at
        self.last_at = entry.recorded_at

    def read(self, after: int, max_bytes: int) -> list[Entry]:
        """Returns at least one entry if there is one after `after`. Damaged entries are skipped, and added to
        `gaps`. Raises OSError."""
        if self.positions is None:
            self._take(self.checked())
        entries = self._read(after, max_bytes)
        if entries is None:
            # Damaged after it was checked.
            self._take(self.checked())
            entries = self._read(after, max_bytes)
        return entries or []

    def offset_of(self, position: int) -> int:
        """Returns the offset of the frame of a position that was read from this file."""
        assert self.positions is not None
        return self.offsets[bisect_left(self.positions, position)]

    def checked(self) -> Scan:
        """Reads the file from its beginning to its end. Raises OSError."""
        found = scan(self.path, self.first, self.end)
        if not self.is_sealed:
            # After its end are bytes that are currently being written.
            found.gaps = [gap for gap in found.gaps if gap.offset < self.size]
        return found

    def _take(self, found: Scan) -> None:
        self.positions, self.offsets, self.gaps = found.positions, found.offsets, found.gaps

    def _read(self, after: int, max_bytes: int) -> list[Entry] | None:
        """Returns None if a frame is not at its previous offset."""
        positions, offsets = self.positions, self.offsets
        assert positions is not None
        start, count = bisect_left(positions, after + 1), len(offsets)
        if start >= count:
            return []
        stop = start + 1
        while (
            stop < count
            and (offsets[stop + 1] if stop + 1 < count else self.size) - offsets[start] <= max_bytes
        ):
            stop += 1
        until = offsets[stop] if stop < count else self.size
        with self.path.open("rb") as file:
            file.seek(offsets[start])
            content = file.read(until - offsets[start])
        entries: list[Entry] = []
        for index in range(start, stop):
            position = positions[index]
            entry = entry_at(content, offsets[index] - offsets[start], position, position)
            if entry is None:
                return None
            entries.append(entry)
        return entries

    def cut(self, size: int) -> None:
        """Truncates the file to `size` bytes, durably. Raises OSError."""
        with self.path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())


def first_of(path: Path) -> int:
    """Returns the first position of a segment's file. Raises ValueError for any other file."""
    return int(path.name.removesuffix(ENDING))


def contents(segments: Sequence[Segment]) -> int:
    """Returns the total number of bytes of all segments."""
    return sum(segment.size for segment in segments)


__all__ = ["ENDING", "FRAME_BYTES", "Segment", "contents", "first_of", "frame"]
