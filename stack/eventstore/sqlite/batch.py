"""One transaction of the writer: decides every append of a batch, then writes the accepted ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from projections.warehouse.feed import Record
from stack.eventstore.appends import Appended, CommandKnown
from stack.eventstore.codec import REDACTED_STATE
from stack.eventstore.sqlite import chain
from stack.eventstore.sqlite.in_statement import InStatement
from stack.eventstore.submission import Conflict, Submission, VersionTaken

_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"
_VERSIONS = InStatement("SELECT stream, max(version) FROM events WHERE stream IN ({}) GROUP BY stream")
_COMMANDS = InStatement(
    "SELECT command, position, recorded_at FROM events "
    "WHERE command <> '' AND command IN ({}) ORDER BY position"
)


class Batch:
    """Use within a transaction, once. `versions` maps streams to the version of their last event; it is
    filled and updated, and matches the log after the transaction is committed.

    `records` are the new events in order; `unreferenced` the blobs that redactions may have orphaned;
    `chain_hash` is that of the last link of the hash chain.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        head: int,
        recorded_at: int,
        now: int,
        versions: dict[str, int],
        chain_hash: bytes,
    ) -> None:
        self._db = db
        self._now = now
        self._versions = versions
        self._commands: dict[str, Appended] = {}
        self._pending: list[tuple[int, str, int, str, int, bytes, str]] = []
        self._blob_refs: list[tuple[str, int]] = []
        self.head = head
        self.recorded_at = recorded_at
        self.chain_hash = chain_hash
        self.records: list[Record] = []
        self.unreferenced: set[str] = set()
        self.redacted = False

    def write(self, submissions: Sequence[Submission]) -> None:
        """Sets each submission's outcome, valid once the transaction is committed. Raises sqlite3.Error."""
        self._look_up_commands({s.command for s in submissions if s.command})
        self._look_up_versions(submissions)
        for submission in submissions:
            if submission.expected is None:
                self._record_unchecked(submission)
            else:
                self._decide(submission, submission.expected)
        self._flush()

    def _decide(self, submission: Submission, expected: Iterable[tuple[str, int]]) -> None:
        command = submission.command
        if command and command in self._commands:
            submission.outcome = CommandKnown(command, self._commands[command])
            return
        versions = self._versions
        for stream, version in expected:
            if versions[stream] != version:
                submission.outcome = Conflict(stream, version)
                return
        if submission.redact:
            self._flush()
            self._redact(submission.redact)
        appended = self._add(submission)
        submission.outcome = appended
        if command:
            self._commands[command] = appended

    def _add(self, submission: Submission) -> Appended:
        first, position, at, times = self.head + 1, self.head, self.recorded_at, []
        command, records, pending = submission.command, self.records, self._pending
        for stream, version, name, state in submission.rows:
            position += 1
            # Strictly increasing, whatever the clock does, so that each time corresponds to a position.
            at = max(at + 1, self._now)
            times.append(at)
            record = Record(position, stream, version, name, at, state)
            records.append(record)
            pending.append((*record, command))
            self._versions[stream] = version
        for row, digest in submission.blobs:
            self._blob_refs.append((digest, first + row))
        self.head, self.recorded_at = position, at
        return Appended(first, position, tuple(times))

    def _record_unchecked(self, submission: Submission) -> None:
        """The recorder's rows may have any version, so only the table shows whether they are free."""
        self._flush()
        head, recorded_at, known = self.head, self.recorded_at, len(self.records)
        chain_hash = self.chain_hash
        self._db.execute("SAVEPOINT unchecked")
        appended = self._add(submission)
        try:
            self._flush()
            submission.outcome = appended
        except sqlite3.IntegrityError as error:
            self._db.execute("ROLLBACK TO unchecked")
            self._pending.clear()
            del self.records[known:]
            self.head, self.recorded_at, self.chain_hash = head, recorded_at, chain_hash
            submission.outcome = VersionTaken(str(error))
        finally:
            self._db.execute("RELEASE unchecked")
        for row in submission.rows:
            self._versions.pop(row.stream, None)
        # The version of a stream that a later append of this batch needs must be looked up again.
        self._query_versions({row.stream for row in submission.rows})

    def _flush(self) -> None:
        if self._pending:
            self._db.executemany(_INSERT, self._pending)
            self.chain_hash = chain.append_link(self._db, self.chain_hash, self._pending)
            self._pending.clear()
        if self._blob_refs:
            self._db.executemany("INSERT OR IGNORE INTO blob_refs VALUES (?, ?)", self._blob_refs)
            self._blob_refs.clear()

    def _redact(self, streams: Iterable[str]) -> None:
        db = self._db
        self.redacted = True
        for stream in streams:
            digests = [
                row[0]
                for row in db.execute(
                    "SELECT DISTINCT digest FROM blob_refs "
                    "WHERE position IN (SELECT position FROM events WHERE stream = ?)",
                    (stream,),
                )
            ]
            db.execute(
                "DELETE FROM blob_refs WHERE position IN (SELECT position FROM events WHERE stream = ?)",
                (stream,),
            )
            db.executemany("INSERT OR IGNORE INTO blob_removals VALUES (?)", [(d,) for d in digests])
            self.unreferenced.update(digests)
            db.execute(
                "UPDATE events SET state = ? WHERE stream = ? AND state <> ?",
                (REDACTED_STATE, stream, REDACTED_STATE),
            )

    def _look_up_commands(self, commands: set[str]) -> None:
        found: dict[str, list[tuple[int, int]]] = {}
        for sql, chunk in _COMMANDS.over(commands):
            for command, position, recorded_at in self._db.execute(sql, chunk):
                found.setdefault(command, []).append((position, recorded_at))
        for command, rows in found.items():
            times = tuple([recorded_at for _, recorded_at in rows])
            self._commands[command] = Appended(rows[0][0], rows[-1][0], times)

    def _look_up_versions(self, submissions: Iterable[Submission]) -> None:
        versions = self._versions
        missing = {stream for s in submissions for stream, _ in s.expected or () if stream not in versions}
        if missing:
            self._query_versions(missing)

    def _query_versions(self, streams: set[str]) -> None:
        self._versions.update(dict.fromkeys(streams, 0))
        for sql, chunk in _VERSIONS.over(streams):
            self._versions.update(self._db.execute(sql, chunk).fetchall())
