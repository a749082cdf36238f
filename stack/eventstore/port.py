"""The port of the event log: what an engine that stores events has to provide. `stack/eventstore/sqlite` is one.

Redaction is part of a submission (`Submission.redact`). The positions of followers are not part of the log: each
follower keeps its own, in one transaction with what it derived.

More than one writer. All promises hold for an engine to which several processes append, with these duties:

- The engine compares the versions that a submission expects with what is stored, no matter which process stored it.
- It calls `Commits.others_wrote` before the outcome of a submission, or a position, shows that another process wrote.
  The cache of folded states and the newest records in memory rely on that.
- `category_head` covers the events of all writers. The SQLite engine only counts those of its own process, which the
  lock of the data folder makes the only one that appends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from projections.warehouse.feed import Record
from stack.eventstore.appends import Command
from stack.eventstore.blobs import BlobStore
from stack.eventstore.damage import Damage
from stack.eventstore.reports import Manifest, VerifyReport
from stack.eventstore.submission import Submission


class NamedRecords(NamedTuple):
    """Bounds of a selection by position, both inclusive; `names` limits it to events of these names."""

    first: int
    last: int
    limit: int
    names: Sequence[str] = ()


class Commits(Protocol):
    """Follows the log. The engine calls these in one thread, in the order of commits."""

    def committed(self, submissions: Sequence[Submission], records: Sequence[Record] | None) -> None:
        """After each commit and before its outcomes are delivered. `records` are the new events; None after a
        redaction, when earlier ones are no longer what they were."""
        ...

    def announce(self) -> None:
        """After the outcomes of a commit are delivered."""
        ...

    def others_wrote(self) -> None:
        """When another process turns out to have appended."""
        ...


class EventLog(Protocol):
    """An open log. All methods may be called from any thread. Those that read block; they raise Unavailable when the
    log cannot be read, and ContentDamaged for an event whose content is not what was recorded."""

    @property
    def epoch(self) -> str:
        """The id of this copy of the log, made when it was created."""
        ...

    @property
    def damage(self) -> Damage:
        """What is known to be wrong with the log: found when it was opened, or by readers since then."""
        ...

    def start(self, commits: Commits) -> None:
        """Begins to write what is submitted. Call it once."""
        ...

    def submit(self, submission: Submission) -> None:
        """Sets the outcome of `submission` and resolves its future once that is durable. Does not block. Raises
        Unavailable when too many are waiting, or after `close`."""
        ...

    def head(self) -> int:
        """The last position that is stored, 0 in an empty log."""
        ...

    def after(self, position: int, limit: int) -> list[Record]:
        """The records after `position` in order, at most `limit`, fewer once they have 64 MiB together. A damaged one
        has `DAMAGED` as its content."""
        ...

    def selected(self, wanted: NamedRecords) -> list[Record]: ...

    def stream(
        self,
        stream: str,
        after: int | None = None,
        until: int | None = None,
        *,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Record]:
        """The events of a stream with versions in (after, until]; None sets no bound."""
        ...

    def streams(self, streams: Sequence[str]) -> list[Record]:
        """The events of many streams, by stream and version. A damaged one has `DAMAGED` as its content."""
        ...

    def command(self, prefix: str, since_us: int) -> Command | None:
        """The newest command whose id begins with `prefix`, recorded at or after `since_us`."""
        ...

    def held_by(self, streams: Sequence[str]) -> tuple[int, int]:
        """How many events of these streams have content, and how many blobs they name."""
        ...

    def referenced(self, digest: str) -> bool:
        """Whether an event names the blob."""
        ...

    def category_head(self, category: str) -> int:
        """The last position of a category, or a later one. No I/O."""
        ...

    def trouble(self) -> str:
        """Why only redactions are recorded at present; empty if everything is."""
        ...

    def is_tidy(self) -> bool:
        """Whether redacted content has left the files of the log, and its blobs are deleted."""
        ...

    def stop(self) -> None:
        """Writes what was accepted and accepts nothing more. Reading goes on. Blocks."""
        ...

    def close(self) -> None:
        """After `stop`: closes what reading needs."""
        ...


class LogEnd(NamedTuple):
    """Which copy of a log it is, its last position, and how many transactions are known to follow it that cannot be
    read."""

    epoch: str
    head: int
    unread: int


class LogPlace(Protocol):
    """Where a log is kept, whether it exists, is open in another process, or neither."""

    @property
    def name(self) -> str:
        """What messages call the log."""
        ...

    @property
    def unmerged(self) -> str:
        """What messages call the place of the newest transactions, where `LogEnd.unread` are found."""
        ...

    def exists(self) -> bool: ...

    def size_bytes(self) -> int: ...

    def end(self) -> LogEnd | None:
        """None where the log is missing or empty. Changes nothing. Raises Unavailable."""
        ...

    def require_room(self) -> None:
        """Raises Unavailable where `open` would have to upgrade the log and the disk has no room for that. Changes
        nothing."""
        ...

    def open(self, blobs: BlobStore, clock_us: Callable[[], int]) -> EventLog:
        """Creates the log where there is none. `clock_us` gives microseconds since 1970. Raises Unavailable."""
        ...

    def make_another_copy(self, lost_until: int) -> None:
        """Gives a log that lost its events up to `lost_until` an epoch of its own, and records the loss; creates one
        that is missing. Raises Unavailable."""
        ...

    def accepted_losses(self) -> list[str]:
        """Which losses were recorded, and when, in words; none where the log cannot be read."""
        ...

    def require_complete(self) -> None:
        """Raises BackupIncomplete for a backup that was not finished or lost files, until a server has run on it."""
        ...

    def backup(self, target: Path) -> Manifest:
        """Copies the log, its blobs and the telemetry log into a folder that a server can be started on. Raises
        NotFound without a log, Conflict when the target holds something else, and Unavailable."""
        ...

    def verify(self) -> VerifyReport:
        """Reads everything once and checks order, hash chain, content and blobs. Raises NotFound without a log,
        BackupIncomplete, and Unavailable."""
        ...
