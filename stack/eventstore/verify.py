"""Checks a data folder's log from end to end: order, content, blobs and the file itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from schemas.events.base import Redacted, Unknown
from stack.errors import InternalError, NotFound, Unavailable
from stack.eventstore.backup import changed_files
from stack.eventstore.blob_markers import digests_in, hydrate
from stack.eventstore.blobs import BlobStore
from stack.eventstore.codec import Codec
from stack.eventstore.named_blobs import named_blobs
from stack.eventstore.sqlite_schema import FILE_NAME, connect_reader

_PAGE_ROWS = 1_000
_MAX_PROBLEMS_LISTED = 100


class VerifyReport(Struct, frozen=True, kw_only=True):
    """What is in a log and what is wrong with it. `head` is the last position, `blob_bytes` the size of the
    blob files. At most 100 problems are listed; `problem_count` counts them all."""

    epoch: str
    head: int
    events: int
    streams: int
    redacted: int
    unknown: int
    blobs: int
    blob_bytes: int
    problems: tuple[str, ...]
    problem_count: int

    @property
    def ok(self) -> bool:
        return self.problem_count == 0


def verify(folder: Path) -> VerifyReport:
    """Reads everything once, in one snapshot, while a server uses the folder or not. Raises NotFound without
    a log and Unavailable when the file cannot be read at all."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise NotFound(f"There is no event log in {folder}.")
    try:
        with closing(connect_reader(path)) as db:
            db.execute("BEGIN")
            return _Verification(db, BlobStore(folder / "blobs")).report(changed_files(folder))
    except sqlite3.Error as error:
        raise Unavailable(f"The event log {path} cannot be read: {error}.") from error


class _Verification:
    def __init__(self, db: sqlite3.Connection, blobs: BlobStore) -> None:
        self._db = db
        self._blobs = blobs
        self._codec = Codec()
        self._problems: list[str] = []
        self._problem_count = 0
        self._redacted = self._unknown = 0

    def report(self, changed: list[str]) -> VerifyReport:
        for problem in (*changed, *self._file_problems()):
            self._add(problem)
        head = self._check_positions()
        self._check_versions()
        self._check_events()
        blobs, blob_bytes = self._check_blobs()
        return VerifyReport(
            epoch=str(self._one("SELECT value FROM log_info WHERE key = 'epoch'")),
            head=head,
            events=self._one("SELECT count(*) FROM events"),
            streams=self._one("SELECT count(DISTINCT stream) FROM events"),
            redacted=self._redacted,
            unknown=self._unknown,
            blobs=blobs,
            blob_bytes=blob_bytes,
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

    def _file_problems(self) -> Iterator[str]:
        for (line,) in self._db.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"the file is damaged: {line}"

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
        for position, name, state in self._events():
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

    def _events(self) -> Iterator[tuple[int, str, object]]:
        after = 0
        while rows := self._db.execute(
            "SELECT position, name, state FROM events WHERE position > ? ORDER BY position LIMIT ?",
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
