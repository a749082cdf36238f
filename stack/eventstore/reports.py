"""The contents of a backup, and the results of checking a log."""

from __future__ import annotations

from msgspec import Struct

from stack.errors import ReplaystackError

BACKUP_REMEDY = (
    "Run `replaystack backup` again: with this folder as its target it starts over. If this is the only copy, "
    "`replaystack serve --accept-loss` serves what is there."
)


class BackupIncomplete(ReplaystackError):
    """The folder is an unfinished backup, or a backup that has lost files."""

    status, title = 500, "Backup incomplete"


class ManifestFile(Struct, frozen=True):
    """`path` is relative to the backup, `sha256` in hex."""

    path: str
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True):
    """The contents of a backup: the events up to position `head`, and all files."""

    epoch: str
    source_epoch: str
    head: int
    files: tuple[ManifestFile, ...]
    version: int = 1


class Added(Struct, frozen=True):
    """Events that were recorded without links of the hash chain: the chain only covers changes after `at`."""

    first: int
    last: int
    at: str


class VerifyReport(Struct, frozen=True, kw_only=True):
    """The contents of a log and its problems. `head` is the last position, `blob_bytes` the size of the blob
    files. `chained` events are covered by the hash chain; `chained_later` of them were recorded before it
    existed, so that earlier changes of them cannot be found. `accepted` describes accepted losses and their
    times. At most 100 problems are listed; `problem_count` counts all."""

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
