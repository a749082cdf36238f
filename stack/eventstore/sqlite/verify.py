"""Checks a data folder's log from end to end: order, content, blobs and the file itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from schemas.events.base import Redacted, Unknown
from stack.errors import InternalError, NotFound, Unavailable
from stack.eventstore.blob_markers import digests_in, hydrate
from stack.eventstore.blobs import BlobStore
from stack.eventstore.codec import Codec
from stack.eventstore.named_blobs import named_blobs
from stack.eventstore.reports import Added, BackupIncomplete, VerifyReport
from stack.eventstore.sqlite import chain
from stack.eventstore.sqlite.backup_manifest import changed_files, unfinished
from stack.eventstore.sqlite.chain_check import EPOCH_CHANGED, ChainCheck, links, without_link
from stack.eventstore.sqlite.schema import FILE_NAME, accepted_losses, connect_reader

T = TypeVar("T")

_PAGE_ROWS = 1_000
_MAX_PROBLEMS_LISTED = 100


def verify(folder: Path) -> VerifyReport:
    """Reads everything once, in one snapshot, with or without a running server. Raises NotFound without a
    log, BackupIncomplete, and Unavailable if the file cannot be read at all."""
    path, incomplete = folder / FILE_NAME, unfinished(folder)
    if not path.is_file():
        if incomplete:
            raise BackupIncomplete(incomplete)
        raise NotFound(f"There is no event log in {folder}.")
    try:
        with closing(connect_reader(path)) as db:
            db.text_factory = chain.readable_text
            db.execute("BEGIN")
            changed = [*([incomplete] if incomplete else ()), *changed_files(folder), *_header_problems(path)]
            return _Verification(db, BlobStore(folder / "blobs")).report(changed)
    except sqlite3.Error as error:
        if incomplete:
            raise BackupIncomplete(incomplete) from error
        raise Unavailable(f"The event log {path} cannot be read: {error}. Restore a backup.") from error


def _header_problems(path: Path) -> Iterator[str]:
    """SQLite treats a file of an unknown format as read-only, and its own checks do not report this."""
    with path.open("rb") as file:
        file.seek(18)
        for what, version in zip(("writing", "reading"), file.read(2), strict=False):
            if version not in (1, 2):
                yield f"the file is damaged: its header names the unknown format {version} for {what}"


class _Verification:
    def __init__(self, db: sqlite3.Connection, blobs: BlobStore) -> None:
        self._db = db
        self._blobs = blobs
        self._codec = Codec()
        self._problems: list[str] = []
        self._problem_count = 0
        self._redacted = self._unknown = self._events_read = 0
        self._chained_later: tuple[Added, ...] = ()
        self._chain: ChainCheck | None = None

    def report(self, changed: list[str]) -> VerifyReport:
        for problem in changed:
            self._add(problem)
        epoch = str(self._one("SELECT value FROM log_info WHERE key = 'epoch'"))
        # A damaged page ends one check; the others may still locate the damage.
        self._attempt(self._check_file, None)
        head = self._attempt(self._check_positions, 0)
        self._attempt(self._check_versions, None)
        self._attempt(self._check_events, None)
        blobs, blob_bytes = self._attempt(self._check_blobs, (0, 0))
        return VerifyReport(
            epoch=epoch,
            head=head,
            events=self._events_read,
            streams=self._attempt(lambda: self._one("SELECT count(DISTINCT stream) FROM events"), 0),
            redacted=self._redacted,
            unknown=self._unknown,
            chained=self._chain.covered if self._chain else 0,
            chained_later=self._chained_later,
            blobs=blobs,
            blob_bytes=blob_bytes,
            accepted=self._attempt(lambda: tuple(map(str, accepted_losses(self._db))), ()),
            problems=tuple(self._problems),
            problem_count=self._problem_count,
        )

    def _add(self, problem: str) -> None:
        self._problem_count += 1
        if len(self._problems) < _MAX_PROBLEMS_LISTED:
            self._problems.append(problem)

    def _one(self, sql: str) -> int:
        value: int = self._db.execute(sql).fetchone()[0]
        return value

    def _attempt(self, check: Callable[[], T], otherwise: T) -> T:
        try:
            return check()
        except sqlite3.Error as error:
            self._add(f"the file is damaged: {error}")
            return otherwise

    def _check_file(self) -> None:
        for (line,) in self._db.execute("PRAGMA integrity_check"):
            if line != "ok":
                self._add(f"the file is damaged: {line}")

    def _check_positions(self) -> int:
        sequence = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        head = sequence[0] if sequence else 0
        last = 0
        for position, before in self._db.execute(
            "SELECT position, before FROM ("
            "  SELECT position, lag(position, 1, 0) OVER (ORDER BY position) AS before FROM events"
            ") WHERE position <> before + 1"
        ):
            self._add(f"positions {before + 1} to {position - 1} are missing")
        for position, last_at, at in self._db.execute(
            "SELECT position, before, recorded_at FROM ("
            "  SELECT position, recorded_at, lag(recorded_at, 1, 0) OVER (ORDER BY position) AS before"
            "  FROM events"
            ") WHERE recorded_at <= before"
        ):
            self._add(f"event {position} is recorded at {at}, not after its predecessor's {last_at}")
        last = self._one("SELECT coalesce(max(position), 0) FROM events")
        if last != head:
            self._add(f"the log ends at position {last} but has given out {head}")
        return int(head)

    def _check_versions(self) -> None:
        for stream, count, first, last in self._db.execute(
            "SELECT stream, count(*), min(version), max(version) FROM events GROUP BY stream "
            "HAVING min(version) <> 1 OR max(version) <> count(*)"
        ):
            self._add(f"stream {stream} has {count} events with versions {first} to {last}")

    def _check_events(self) -> None:
        check = self._chain = self._begun_chain()
        for row in self._events():
            position, _, _, name, _, state, _ = row
            self._events_read += 1
            if check is not None:
                check.take(row)
            if not isinstance(state, bytes):
                self._add(f"event {position}: its content is of type {type(state).__name__}")
                continue
            try:
                event = self._codec.decode(name, state, lambda json: hydrate(json, self._blobs.get))
            except InternalError as error:
                self._add(f"event {position}: {error.detail}")
                continue
            self._redacted += isinstance(event, Redacted)
            self._unknown += isinstance(event, Unknown)
            for digest in (*digests_in(state), *named_blobs(event)):
                if not self._db.execute(
                    "SELECT 1 FROM blob_refs WHERE digest = ? AND position = ?", (digest, position)
                ).fetchone():
                    self._add(f"event {position} names blob {digest} without a reference to it")
        if check is not None:
            check.end()
            if chain.is_complete(self._db):
                for events in check.without:
                    self._add(without_link(events))

    def _begun_chain(self) -> ChainCheck | None:
        if not chain.exists(self._db):
            return None
        if not chain.epoch_is_sealed(self._db):
            self._add(EPOCH_CHANGED)
        self._chained_later = tuple(chain.added(self._db))
        return ChainCheck(links(self._db), chain.start(self._db), self._add)

    def _events(self) -> Iterator[chain.Row]:
        after = 0
        while rows := self._db.execute(
            f"SELECT {chain.ROW} FROM events WHERE position > ? ORDER BY position LIMIT ?",
            (after, _PAGE_ROWS),
        ).fetchall():
            yield from rows
            after = rows[-1][0]

    def _check_blobs(self) -> tuple[int, int]:
        digests = [row[0] for row in self._db.execute("SELECT DISTINCT digest FROM blob_refs")]
        size = 0
        for digest in digests:
            if self._blobs.intact(digest):
                size += self._blobs.path(digest).stat().st_size
            else:
                self._add(f"blob {digest} is missing or damaged")
        return len(digests), size
