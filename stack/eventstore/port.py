"""The port of the event log: the interface of an engine that stores events. `stack/eventstore/sqlite`
implements it.

Redaction is part of a submission (`Submission.redact`). The positions of followers are not part of the log:
each follower stores its own, in one transaction with the data that it derives.

Several writers: all guarantees hold for an engine to which several processes append, with these requirements:

- The engine compares the versions that a submission expects with the stored ones, whichever process stored them.
- It calls `Commits.others_wrote` before the outcome of a submission, or a position, reveals a write of another process.
  The cache of folded states and the newest records in memory depend on that.
- `category_head` covers the events of all writers. The SQLite engine only counts those of its own process, which is the
  only one that appends because of the lock of the data folder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from projections.warehouse.feed import Record
from stack.eventstore.appends import Command
from stack.eventstore.blobs import BlobStore
from stack.eventstore.damage import Damage
from stack.eventstore.reports import Manifest, VerifyReport
from stack.eventstore.submission import Submission

MOST_BYTES = 64 * 2**20


class NamedRecords(NamedTuple):
    """A selection by position, both bounds inclusive. `names` limits it to events with these names, `stream` to those of a
    stream, `prefix` to those of streams whose names begin with it. It ends at `limit`, or at the first record with which
    the states have `max_bytes` or more."""

    first: int
    last: int
    limit: int
    names: Collection[str] = ()
    stream: str = ""
    prefix: str = ""
    max_bytes: int = MOST_BYTES

    def has(self, record: Record) -> bool:
        return (
            self.first <= record.position <= self.last
            and (not self.names or record.name in self.names)
            and (not self.stream or record.stream == self.stream)
            and record.stream.startswith(self.prefix)
        )

    def of(self, records: Iterable[Record]) -> list[Record]:
        """Selects from records in the order of positions."""
        found: list[Record] = []
        size = 0
        for record in filter(self.has, records):
            found.append(record)
            size += len(record.state)
            if len(found) >= self.limit or size >= self.max_bytes:
                break
        return found


class Commits(Protocol):
    """Receives notifications about the log. The engine calls these methods in one thread, in the order of
    commits."""

    def committed(self, submissions: Sequence[Submission], records: Sequence[Record] | None) -> None:
        """Called after each commit and before its outcomes are delivered. `records` are the new events; None
        after a redaction, which changes earlier ones."""
        ...

    def announce(self) -> None:
        """Called after the outcomes of a commit are delivered."""
        ...

    def others_wrote(self) -> None:
        """Called when an append by another process is detected."""
        ...


class EventLog(Protocol):
    """An open log. All methods are thread-safe. Those that read block; they raise Unavailable if the log
    cannot be read, and ContentDamaged for an event whose content is damaged."""

    @property
    def epoch(self) -> str:
        """The id of this copy of the log, assigned when it was created."""
        ...

    @property
    def damage(self) -> Damage:
        """The known problems of the log: found when it was opened, or by readers since then."""
        ...

    def start(self, commits: Commits) -> None:
        """Starts to write submissions. Call it once."""
        ...

    def submit(self, submission: Submission) -> None:
        """Sets the outcome of `submission` and resolves its future once it is durable. Does not block. Raises
        Unavailable if too many are waiting, or after `close`."""
        ...

    def head(self) -> int:
        """Returns the last stored position, 0 in an empty log."""
        ...

    def position_at(self, time_us: int) -> int:
        """Returns the position up to which all events were recorded at or before this time (microseconds since 1970); 0
        if none was. `recorded_at` rises with the position, so this is a search and no scan."""
        ...

    def after(self, position: int, limit: int) -> list[Record]:
        """Returns the records after `position` in order, at most `limit`, fewer if they exceed 64 MiB. A
        damaged one has `DAMAGED` as its content."""
        ...

    def selected(self, wanted: NamedRecords) -> list[Record]:
        """Returns the selected records in order. A damaged one has `DAMAGED` as its content. The events of a stream are
        found without reading others."""
        ...

    def stream(
        self,
        stream: str,
        after: int | None = None,
        until: int | None = None,
        *,
        as_of: int | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Record]:
        """Returns the events of a stream with versions in (after, until], and with positions up to `as_of`; None means no
        bound."""
        ...

    def streams(self, streams: Sequence[str]) -> list[Record]:
        """Returns the events of many streams, by stream and version. A damaged one has `DAMAGED` as its
        content."""
        ...

    def names_in(self, streams: Sequence[str]) -> set[str]:
        """Returns the names of the events of these streams, as stored."""
        ...

    def command(self, prefix: str, since_us: int) -> Command | None:
        """Returns the newest command whose id begins with `prefix`, recorded at or after `since_us`."""
        ...

    def held_by(self, streams: Sequence[str]) -> tuple[int, int]:
        """Returns how many events of these streams have content, and how many blobs they name."""
        ...

    def referenced(self, digest: str) -> bool:
        """Returns whether an event names the blob."""
        ...

    def category_head(self, category: str) -> int:
        """Returns the last position of a category, or a later one. No I/O."""
        ...

    def trouble(self) -> str:
        """Returns why currently only redactions are recorded; empty if everything is."""
        ...

    def is_tidy(self) -> bool:
        """Returns whether redacted content has left the files of the log, and its blobs are deleted."""
        ...

    def stop(self) -> None:
        """Writes what was accepted and accepts nothing more. Reading remains possible. Blocks."""
        ...

    def close(self) -> None:
        """Called after `stop`: releases the resources for reading."""
        ...


class LogEnd(NamedTuple):
    """The id of a copy of a log, its last position, and the number of known transactions after it that cannot
    be read."""

    epoch: str
    head: int
    unread: int


class LogPlace(Protocol):
    """The location of a log, which may be missing, open in another process, or neither."""

    @property
    def name(self) -> str:
        """The log's name in messages."""
        ...

    @property
    def unmerged(self) -> str:
        """The name in messages of the location of the newest transactions, where `LogEnd.unread` are
        found."""
        ...

    def exists(self) -> bool: ...

    def size_bytes(self) -> int: ...

    def end(self) -> LogEnd | None:
        """Returns None if the log is missing or empty. Changes nothing. Raises Unavailable."""
        ...

    def require_room(self) -> None:
        """Raises Unavailable if `open` would have to upgrade the log and the disk has no room for that.
        Changes nothing."""
        ...

    def open(self, blobs: BlobStore, clock_us: Callable[[], int]) -> EventLog:
        """Opens the log, and creates it if missing. `clock_us` returns microseconds since 1970. Raises
        Unavailable."""
        ...

    def make_another_copy(self, lost_until: int) -> None:
        """Gives a log that lost its events up to `lost_until` a new epoch, and records the loss; creates a
        missing log. Raises Unavailable."""
        ...

    def accepted_losses(self) -> list[str]:
        """Describes the recorded losses, and when they were accepted; empty if the log cannot be read."""
        ...

    def require_complete(self) -> None:
        """Raises BackupIncomplete for an unfinished or incomplete backup, until a server has used it."""
        ...

    def backup(self, target: Path) -> Manifest:
        """Copies the log, its blobs and the telemetry log to a folder from which a server can be started.
        Raises NotFound without a log, Conflict if the target contains something else, and Unavailable."""
        ...

    def verify(self) -> VerifyReport:
        """Reads everything once and checks order, hash chain, content and blobs. Raises NotFound without a
        log, BackupIncomplete, and Unavailable."""
        ...
