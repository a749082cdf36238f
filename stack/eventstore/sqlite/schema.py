"""The tables of the SQLite log and the connections to them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from time import gmtime, strftime
from uuid import uuid4

import msgspec
from msgspec import Struct

from projections.warehouse.files import sync_folder
from stack.errors import Unavailable
from stack.eventstore.port import LogEnd
from stack.eventstore.sqlite import chain
from stack.eventstore.sqlite.chain_check import tail_problems
from stack.eventstore.sqlite.reserve import FULL_BYTES, Reserve, free_bytes
from stack.eventstore.sqlite.wal import has_frames, unread_transactions

FORMAT_VERSION = "1"
FILE_NAME = "events.sqlite"
BUSY_TIMEOUT_S = 5.0
# A key of `log_info` in a backup, until a server uses it.
BACKUP_KEY = "backup"

UPGRADE_BYTES = 4 * 2**20
"""Disk space for the upgrade of a log, in bytes, in addition to the links of its events."""
_BYTES_OF_LINK = 40  # per event, at most

# `position` is AUTOINCREMENT because a plain rowid would be used again after the tail is deleted.
_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    position    INTEGER PRIMARY KEY AUTOINCREMENT,
    stream      TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL,
    state       BLOB    NOT NULL,
    command     TEXT    NOT NULL,
    UNIQUE (stream, version)
);
CREATE INDEX IF NOT EXISTS events_by_command ON events (command) WHERE command <> '';
CREATE TABLE IF NOT EXISTS blob_refs (
    digest   TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (digest, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blob_refs_by_position ON blob_refs (position);
CREATE TABLE IF NOT EXISTS blob_removals (
    digest TEXT PRIMARY KEY
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_info (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""


# SQLite shares the index of its WAL in a file of 32 KiB. If the disk has no room for it, the log is opened
# exclusively by this process, which keeps the index in memory; then other processes (`backup`, `verify`)
# cannot read it meanwhile.
_IN_THIS_PROCESS_ALONE: set[Path] = set()


def _uri(path: Path) -> str:
    alone = path.absolute() in _IN_THIS_PROCESS_ALONE
    return path.absolute().as_uri() + ("?vfs=unix-excl&mode=" if alone else "?mode=")


def connect_writer(path: Path) -> sqlite3.Connection:
    """Opens the only connection that writes. Transactions are started and ended explicitly."""
    db = sqlite3.connect(
        _uri(path) + "rwc",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
    )
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")
        # The writer runs checkpoints itself, between batches, when no append waits for it.
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        db.close()  # while it is open, SQLite keeps the mode in which it opened the file
        raise
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """Opens a connection that does not write; in WAL mode it never waits for the writer.

    If it is the last connection to a log that was not closed, it keeps the write-ahead log: a writing
    connection would merge what it can read and delete the rest, which may be damaged and the only copy.
    """
    keeps_wal = has_frames(path) and path.absolute() not in _IN_THIS_PROCESS_ALONE
    db = sqlite3.connect(
        _uri(path) + ("ro" if keeps_wal else "rw"),
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
    )
    db.execute("PRAGMA query_only = ON")
    return db


def end_of_log(folder: Path) -> LogEnd | None:
    """Returns None if the log is missing or empty: a new one would be created. Changes nothing. Raises
    Unavailable."""
    path = folder / FILE_NAME
    if not path.is_file() or not path.stat().st_size:
        return None
    Reserve(folder).is_full(now=True)
    _IN_THIS_PROCESS_ALONE.discard(path.absolute())
    try:
        try:
            return _end_of(path)
        except sqlite3.OperationalError:
            if free_bytes(folder) >= FULL_BYTES:
                raise
            _IN_THIS_PROCESS_ALONE.add(path.absolute())
            return _end_of(path)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_be_opened(path, error) from error


def _end_of(path: Path) -> LogEnd | None:
    with closing(connect_reader(path)) as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'events'").fetchone():
            return None
        epoch = db.execute("SELECT value FROM log_info WHERE key = 'epoch'").fetchone()
        head = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        unread = unread_transactions(path)
    return LogEnd(epoch[0] if epoch else "", head[0] if head else 0, unread)


def require_room(folder: Path) -> None:
    """Raises Unavailable if the log is from an earlier release, and the disk has no room for its hash chain.
    Changes nothing."""
    path = folder / FILE_NAME
    try:
        with closing(connect_reader(path)) as db:
            if chain.exists(db) and chain.is_complete(db):
                return
            after = chain.tip(db).last if chain.exists(db) else 0
            (events,) = db.execute("SELECT count(*) FROM events WHERE position > ?", (after,)).fetchone()
    except (OSError, sqlite3.Error) as error:
        raise _cannot_be_opened(path, error) from error
    needed, free = UPGRADE_BYTES + events * _BYTES_OF_LINK, free_bytes(folder)
    if free < needed:
        raise Unavailable(
            f"The event log {path} was written by an earlier release. Its upgrade needs {_mib(needed)} on the disk, and "
            f"{_mib(free)} are free. Nothing was changed. Free some space and start again, or start the release that "
            "wrote it."
        )


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


class AcceptedLoss(Struct, frozen=True):
    """Events up to position `lost_until` were lost, and the log continued after `head`; `lost_until` is 0 if
    unknown. The loss was accepted at `at` (RFC 3339). `epoch` is that of the copy of the log that lost
    them."""

    epoch: str
    head: int
    lost_until: int
    at: str

    def __str__(self) -> str:
        if self.lost_until <= self.head:
            return f"events after position {self.head} were lost (accepted {self.at})"
        one = self.lost_until == self.head + 1
        lost = f"event {self.lost_until} was" if one else f"events {self.head + 1} to {self.lost_until} were"
        return f"{lost} lost (accepted {self.at})"


def make_another_copy(folder: Path, lost_until: int) -> None:
    """Gives a log that has lost its events up to position `lost_until` a new epoch, and records the loss; a
    missing log is created. Raises Unavailable."""
    path, end = folder / FILE_NAME, end_of_log(folder)
    if end is None:
        create(path)
    try:
        with closing(connect_writer(path)) as db:
            db.execute("BEGIN IMMEDIATE")
            epoch, head, _ = end or LogEnd("", 0, 0)
            chain.set_epoch(db, uuid4().hex)
            loss = AcceptedLoss(epoch, head, lost_until, strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()))
            value = msgspec.json.encode(loss).decode()
            db.execute("INSERT OR REPLACE INTO log_info VALUES (?, ?)", (f"loss {epoch} {head}", value))
            db.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise _cannot_be_opened(path, error) from error


def accepted_losses(db: sqlite3.Connection) -> list[AcceptedLoss]:
    """Returns the losses in the order of their times; unreadable ones are left out. Raises sqlite3.Error."""
    losses = []
    for (value,) in db.execute("SELECT value FROM log_info WHERE key >= 'loss ' AND key < 'loss!'"):
        with suppress(msgspec.DecodeError):
            losses.append(msgspec.json.decode(value, type=AcceptedLoss))
    return sorted(losses, key=lambda loss: loss.at)


def create(path: Path) -> tuple[str, list[str]]:
    """Creates the log if it does not exist. Returns its epoch and the problems of its newest events. A log
    without a hash chain is given one. Raises Unavailable if the log cannot be used."""
    _IN_THIS_PROCESS_ALONE.discard(path.absolute())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            epoch, problems = _created(path)
        except sqlite3.OperationalError:
            if not path.exists() or free_bytes(path.parent) >= FULL_BYTES:
                raise
            _IN_THIS_PROCESS_ALONE.add(path.absolute())
            epoch, problems = _created(path)
        sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_be_opened(path, error) from error
    return epoch, problems


def _cannot_be_opened(path: Path, error: Exception) -> Unavailable:
    damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
    # For a writable file, SQLite reports this only if its header is damaged.
    damaged = damaged or ("readonly database" in str(error) and os.access(path, os.W_OK))
    remedy = (
        " The file is damaged: serve a backup with --data, or restore one into this folder."
        if damaged
        else ""
    )
    return Unavailable(f"The event log {path} cannot be opened: {error}.{remedy}")


def _created(path: Path) -> tuple[str, list[str]]:
    db = connect_writer(path)
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            epoch = _create_tables(db)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
        db.execute("PRAGMA wal_autocheckpoint = 1000")
        chain.add_missing(db)
        return epoch, tail_problems(db)
    finally:
        db.close()


def _create_tables(db: sqlite3.Connection) -> str:
    for statement in _TABLES.split(";"):
        if statement.strip():
            db.execute(statement)
    db.executemany(
        "INSERT OR IGNORE INTO log_info (key, value) VALUES (?, ?)",
        [("epoch", uuid4().hex), ("format", FORMAT_VERSION)],
    )
    info = dict(db.execute("SELECT key, value FROM log_info"))
    if info["format"] != FORMAT_VERSION:
        raise Unavailable(
            f"The event log has format {info['format']}; this version reads format {FORMAT_VERSION}. "
            "Start the version of replaystack that wrote it."
        )
    if BACKUP_KEY in info:
        db.execute("DELETE FROM log_info WHERE key = ?", (BACKUP_KEY,))
    chain.create(db, info["epoch"])
    return str(info["epoch"])
