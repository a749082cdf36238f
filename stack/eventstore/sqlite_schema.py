"""The tables of the SQLite log and the connections to them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from uuid import uuid4

from stack.errors import Unavailable
from stack.eventstore import chain
from stack.eventstore.blobs import sync_folder
from stack.eventstore.chain_check import tail_problems

FORMAT_VERSION = "1"
FILE_NAME = "events.sqlite"
BUSY_TIMEOUT_S = 5.0

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


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes. Transactions are begun and ended by hand."""
    db = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=128
    )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")
    # The writer checkpoints by itself, between batches, where no append waits for it.
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA journal_size_limit = 67108864")
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that does not write; under WAL it never waits for the writer."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
    )
    db.execute("PRAGMA query_only = ON")
    return db


def create(path: Path) -> tuple[str, list[str]]:
    """Creates the log where there is none. Returns its epoch and what is wrong with its newest events. A log without a
    hash chain gets one. Raises Unavailable when the log cannot be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
            problems = tail_problems(db)
        finally:
            db.close()
        sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        remedy = " The file is damaged: restore a backup, or serve it with --data." if damaged else ""
        raise Unavailable(f"The event log {path} cannot be opened: {error}.{remedy}") from error
    return epoch, problems


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
    chain.create(db, info["epoch"])
    return str(info["epoch"])
