"""The thread that writes the SQLite log: group commit, checkpoints, and the work that redactions leave."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

from projections.warehouse.feed import Record
from stack.errors import Unavailable
from stack.eventstore.blobs import BlobStore
from stack.eventstore.intake import Intake
from stack.eventstore.sqlite import chain
from stack.eventstore.sqlite.batch import Batch
from stack.eventstore.sqlite.schema import connect_writer
from stack.eventstore.submission import Submission, deliver

_log = logging.getLogger(__name__)

_MAX_KNOWN_VERSIONS = 100_000
# A checkpoint of 4 MiB takes 5-15 ms here; it runs after the response, and the next batch waits for it.
_CHECKPOINT_BYTES = 4 * 2**20
_PAGE_BYTES = 4_096
_IDLE_S = 1.0
_REDACTION_BUSY_TIMEOUT_MS = 50
_BUSY_TIMEOUT_MS = 5_000

# Errors caused by the data of one append; all others are caused by the disk and concern the whole batch.
_FAULT_OF_ONE = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)

# Called in the writer's thread, in the order of commits and before the callers are notified: the submissions
# with their outcomes, and the new records (None: the tail of the log has changed).
Committed = Callable[[Sequence[Submission], "Sequence[Record] | None"], None]


class Writer:
    """Takes batches from `intake` until it is closed. `committed` is called after each commit, `announce`
    with the new head after its appends have been answered, `others_wrote` when a write of another process is
    detected."""

    def __init__(
        self,
        path: Path,
        intake: Intake,
        blobs: BlobStore,
        *,
        clock_us: Callable[[], int],
        committed: Committed,
        announce: Callable[[], None],
        others_wrote: Callable[[], None],
    ) -> None:
        self._path = path
        self._intake = intake
        self._blobs = blobs
        self._clock_us = clock_us
        self._committed = committed
        self._announce = announce
        self._others_wrote = others_wrote
        self._versions: dict[str, int] = {}
        self._head = -1
        self._recorded_at = 0
        self._chain_hash = b""
        self._unchecked_bytes = 0
        self._removals_left = True
        # A crash may have left redacted content in the WAL.
        self._truncate = True
        self._db: sqlite3.Connection | None = None
        self._thread = Thread(target=self._run, name="eventstore-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def is_tidy(self) -> bool:
        """Returns whether no redacted content is left in files. Thread-safe."""
        return not self._chores_left()

    def _run(self) -> None:
        self._do_chores(idle=True)  # what a crash left undone
        while (batch := self._intake.take(_IDLE_S if self._chores_left() else None)) is not None:
            try:
                if batch:
                    self._process(batch)
                self._do_chores(idle=not batch)
            except Exception as error:  # no caller may wait forever, and this thread must not end
                _log.exception("the event log's writer failed and continues")
                for submission in batch:
                    submission.outcome = submission.outcome or error
                deliver(batch)
        self._truncate = True
        self._do_chores(idle=True)
        self._disconnect()

    def _process(self, submissions: Sequence[Submission]) -> None:
        try:
            batch = self._write(submissions)
        except Exception as error:
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _FAULT_OF_ONE):
                self._refuse(submissions, error)
                return
            if len(submissions) > 1:  # one of them is the cause, not the disk: find it
                for submission in submissions:
                    self._process((submission,))
                return
            _log.exception("an append was refused")
            submissions[0].outcome = error
            self._finish(submissions, ())
        else:
            if batch.redacted:
                self._truncate = self._removals_left = True
                self._do_chores(idle=False)
            self._finish(submissions, None if batch.redacted else batch.records)

    def _write(self, submissions: Sequence[Submission]) -> Batch:
        db = self._connection()
        try:
            db.execute("BEGIN IMMEDIATE")
            self._catch_up(db)
            now = self._clock_us()
            batch = Batch(db, self._head, self._recorded_at, now, self._versions, self._chain_hash)
            batch.write(submissions)
            db.execute("COMMIT")
        except BaseException:
            self._roll_back(db)
            raise
        self._head, self._recorded_at, self._chain_hash = batch.head, batch.recorded_at, batch.chain_hash
        self._unchecked_bytes += 4 * _PAGE_BYTES + 2 * sum([s.size + 200 * len(s.rows) for s in submissions])
        if len(self._versions) > _MAX_KNOWN_VERSIONS:
            self._versions.clear()
        return batch

    def _catch_up(self, db: sqlite3.Connection) -> None:
        """Detects writes of other processes, all of which advance the head."""
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        head = row[0] if row else 0
        if head != self._head:
            if self._head >= 0:
                self._others_wrote()
            self._versions.clear()
            row = db.execute("SELECT recorded_at FROM events WHERE position = ?", (head,)).fetchone()
            self._head, self._recorded_at = head, row[0] if row else 0
            if chain.tip(db).last < head:  # written by a process of a release without a chain
                while chain.add_some(db):
                    pass
            self._chain_hash = chain.tip(db).hash

    def _roll_back(self, db: sqlite3.Connection) -> None:
        """Discards all cached knowledge of the log; after a disk error the connection too."""
        self._versions.clear()
        self._head = -1
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()

    def _refuse(self, submissions: Sequence[Submission], error: sqlite3.Error) -> None:
        _log.error("%d appends were refused: %s", len(submissions), error)
        self._disconnect()
        for submission in submissions:
            refusal = Unavailable(
                f"The event log could not be written ({error}); nothing was stored.", retry_after=5
            )
            refusal.__cause__ = error
            submission.outcome = refusal
        self._finish(submissions, ())

    def _finish(self, submissions: Sequence[Submission], records: Sequence[Record] | None) -> None:
        for submission in submissions:
            if submission.blobs:
                self._blobs.release([digest for _, digest in submission.blobs])
        try:
            self._committed(submissions, records)
        except Exception:
            _log.exception("following a commit failed")
        deliver(submissions)
        if records is None or records:
            self._announce()

    def _chores_left(self) -> bool:
        return self._truncate or self._removals_left

    def _do_chores(self, *, idle: bool) -> None:
        try:
            if self._removals_left:
                self._remove_blobs(self._connection())
            if self._truncate or self._unchecked_bytes > _CHECKPOINT_BYTES:
                self._checkpoint(self._connection())
        except (sqlite3.Error, OSError) as error:
            _log.warning("the event log could not be tidied, which is tried again: %s", error)
            if not idle:
                self._unchecked_bytes = 0  # so that a full disk does not cost every batch another attempt

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        if not self._truncate:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        else:
            # The old content of redacted pages stays in the WAL until it is truncated.
            db.execute(f"PRAGMA busy_timeout = {_REDACTION_BUSY_TIMEOUT_MS}").fetchall()
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            db.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}").fetchall()
            self._truncate = bool(busy)
        self._unchecked_bytes = 0

    def _remove_blobs(self, db: sqlite3.Connection) -> None:
        """Deletes the files that redactions left, including those of an earlier run."""

        def referenced(digest: str) -> bool:
            return bool(db.execute("SELECT 1 FROM blob_refs WHERE digest = ? LIMIT 1", (digest,)).fetchone())

        digests = [row[0] for row in db.execute("SELECT digest FROM blob_removals")]
        decided = self._blobs.remove(digests, referenced)
        db.executemany("DELETE FROM blob_removals WHERE digest = ?", [(digest,) for digest in decided])
        self._removals_left = len(decided) < len(digests)

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = connect_writer(self._path)
        return self._db

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
