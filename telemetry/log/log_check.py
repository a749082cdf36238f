"""Checks a telemetry log from its beginning to its end, and copies it, without changes; a server may be
writing it."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

from msgspec import Struct

from telemetry.log.accepted import ACCEPTED, not_accepted, read_accepted
from telemetry.log.damage import damage_of
from telemetry.log.log_files import EPOCH, TRIMMED, read_trimmed, write_synced
from telemetry.log.port import Accepted, Damage
from telemetry.log.segment import ENDING, Segment, first_of
from telemetry.log.segment_scan import Gap, scan

# Retention may remove files while they are read; then the check is restarted.
_ATTEMPTS = 5


class LogReport(Struct, frozen=True):
    """The number of intact requests, of files and of bytes, and the damage or losses, in order; `accepted` is
    the damage that was accepted earlier, which is not in `damages`."""

    requests: int
    files: int
    bytes: int
    head: int
    damages: tuple[Damage, ...]
    accepted: tuple[Accepted, ...]


def check(folder: Path, acknowledged: int = 0) -> LogReport:
    """Checks the log in `folder`; requests up to position `acknowledged` were in it. Raises OSError."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _check(folder, acknowledged)
        except FileNotFoundError:
            continue
    return _check(folder, acknowledged)


def _check(folder: Path, acknowledged: int) -> LogReport:
    paths = _paths(folder)
    trimmed = read_trimmed(folder)
    requests = size = 0
    head, damages = trimmed or 0, []
    first = first_of(paths[0]) if paths else acknowledged + 1
    if trimmed is not None and first > trimmed + 1:
        damages.append(damage_of(Segment.name(folder, trimmed + 1), Gap(0, 0, trimmed + 1, first - 1)))
    for path, following in pairwise([*paths, None]):
        assert path is not None
        end = first_of(following) if following is not None else None
        found = scan(path, first_of(path), end, acknowledged)
        requests += len(found.positions)
        size += path.stat().st_size
        head = max(head, found.end - 1)
        damages += [damage_of(path, gap) for gap in found.gaps]
    accepted = read_accepted(folder)
    left = tuple(not_accepted(damages, accepted))
    return LogReport(requests, len(paths), size, max(head, acknowledged), left, accepted)


def copy(source: Path, target: Path) -> list[Path]:
    """Copies a log into the new folder `target`, with a new id; returns the files. The end may be incomplete
    if a server is writing it, which the next start repairs. Raises OSError."""
    if not source.is_dir():
        return []
    target.mkdir(mode=0o700, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        copies: list[Path] = []
        try:
            small = [source / name for name in (TRIMMED, ACCEPTED) if (source / name).exists()]
            copies += [Path(shutil.copyfile(path, target / path.name)) for path in (*small, *_paths(source))]
            break
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
            for file in target.iterdir():
                file.unlink()
    write_synced(target / EPOCH, uuid4().hex)
    return [*copies, target / EPOCH]


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{ENDING}"), key=first_of)
