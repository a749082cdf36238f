"""What a backup holds, and what a check of a log found."""

from __future__ import annotations

from msgspec import Struct

from stack.errors import ReplaystackError

BACKUP_REMEDY = (
    "Run `replaystack backup` again: with this folder as its target it starts over. If this is the only copy, "
    "`replaystack serve --accept-loss` serves what is there."
)


class BackupIncomplete(ReplaystackError):
    """The folder is a backup that was not finished, or that lost some of its files."""

    status, title = 500, "Backup incomplete"


class ManifestFile(Struct, frozen=True):
    """`path` is relative to the backup, `sha256` in hex."""

    path: str
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What a backup holds: events up to position `head`, and every file."""

    epoch: str
    source_epoch: str
    head: int
    files: tuple[ManifestFile, ...]
    version: int = 1


class Added(Struct, frozen=True):
    """Events that had been recorded without links of the hash chain: it says that they are what they were at `at`."""

    first: int
    last: int
    at: str


class VerifyReport(Struct, frozen=True, kw_only=True):
    """What is in a log and what is wrong with it. `head` is the last position, `blob_bytes` the size of the
    blob files. `chained` events are covered by the hash chain; of those, `chained_later` were recorded before there was
    one, so it says nothing about the time before they got it. `accepted` says which losses were accepted, and when. At
    most 100 problems are listed; `problem_count` counts them all."""

    epoch: str
    head: int
    events: int
    streams: int
    redacted: int
    unknown: int
    chained: int
    chained_later: tuple[Added, ...]
    blobs: int
    blob_bytes: int
    accepted: tuple[str, ...]
    problems: tuple[str, ...]
    problem_count: int

    @property
    def ok(self) -> bool:
        return self.problem_count == 0
