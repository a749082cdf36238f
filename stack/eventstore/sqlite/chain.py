"""The hash chain over the events, which reveals any change of recorded data.

A link covers the events of one write, up to and including position `last`. It contains the SHA-256 digest of
each event's content, 32 bytes each in the order of positions, and the hash

    SHA-256(hash of the previous link, digests, columns)

where `columns` is the UTF-8 text `position:version:recorded_at:A:B:C:streamnamecommand` of each event, with
A, B and C the lengths of the three texts in characters. The first link follows SHA-256("replaystack chain 1 "
+ the epoch under which the chain was started).

A redaction replaces the content of an event and keeps its digest, so the chain stays valid. SHA-256 was
chosen because processors compute it: 1.0 us for 600 bytes and 43 us for 64 KiB here, against 1.2 and 108 us
with BLAKE2b. There is one link per write instead of per event: a hash and a row for each event cost an append
three times as much as its digest.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from time import gmtime, strftime
from typing import NamedTuple

import msgspec

from stack.eventstore.reports import Added

_log = logging.getLogger(__name__)

DIGEST_BYTES = 32
TABLE = """
CREATE TABLE IF NOT EXISTS chain (
    last    INTEGER PRIMARY KEY,
    digests BLOB    NOT NULL,
    hash    BLOB    NOT NULL
)"""
# The digest of the content of the event at `position`, or null if no link covers it.
DIGEST_OF_EVENT = (
    "(SELECT CASE WHEN last - length(digests) / 32 < position "
    "THEN substr(digests, length(digests) - 32 * (last - position) - 31, 32) END "
    "FROM chain WHERE last >= position ORDER BY last LIMIT 1)"
)
ROW = "position, stream, version, name, recorded_at, state, command"

# Size of links that are added to earlier events: small enough to locate a change.
_LINK_EVENTS = 64
# Number of events in one transaction of adding links: a crash loses no more work than that.
_ADD_EVENTS = 4_096
_ADD_BYTES = 16 * 2**20

Row = tuple[int, str, int, str, int, bytes, str]
_STATE = 5


class Link(NamedTuple):
    """Covers the events up to `last`, as many as there are digests."""

    last: int
    digests: bytes
    hash: bytes

    @property
    def first(self) -> int:
        return self.last - len(self.digests) // DIGEST_BYTES + 1


class Tip(NamedTuple):
    """The end of the chain; `last` is 0 before the first link."""

    last: int
    hash: bytes


def seal(origin: str, epoch: str) -> str:
    """Returns the checksum stored with both, so that a damaged epoch is not mistaken for another copy of the
    log."""
    return sha256(f"replaystack epoch {origin} {epoch}".encode()).hexdigest()


def create(db: sqlite3.Connection, epoch: str) -> None:
    """Starts a chain if there is none. Call it within a transaction."""
    db.execute(TABLE)
    info = dict(db.execute("SELECT key, value FROM log_info"))
    if "chain_origin" not in info:
        db.executemany(
            "INSERT OR IGNORE INTO log_info VALUES (?, ?)",
            [("chain_origin", epoch), ("epoch_seal", seal(epoch, epoch))],
        )


def set_epoch(db: sqlite3.Connection, epoch: str) -> None:
    """Makes the log another copy. The chain continues unchanged. Call it within a transaction."""
    db.execute("UPDATE log_info SET value = ? WHERE key = 'epoch'", (epoch,))
    origin = _info(db, "chain_origin")
    db.execute("UPDATE log_info SET value = ? WHERE key = 'epoch_seal'", (seal(origin, epoch),))


def epoch_is_sealed(db: sqlite3.Connection) -> bool:
    """Returns whether the epoch is the one that was assigned to this copy."""
    return _info(db, "epoch_seal") == seal(_info(db, "chain_origin"), _info(db, "epoch"))


def is_complete(db: sqlite3.Connection) -> bool:
    """Returns whether every event has had a link; False while a log of an earlier release is given its
    chain."""
    return bool(_info(db, "chain_complete"))


def exists(db: sqlite3.Connection) -> bool:
    """Returns whether this log has a chain: a log of an earlier release is given one at its next start."""
    return bool(db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'chain'").fetchone())


def tip(db: sqlite3.Connection) -> Tip:
    found = db.execute("SELECT last, hash FROM chain ORDER BY last DESC LIMIT 1").fetchone()
    return Tip(*found) if found else start(db)


def start(db: sqlite3.Connection) -> Tip:
    """Returns the state before the first link."""
    origin = _info(db, "chain_origin")
    return Tip(0, sha256(f"replaystack chain 1 {origin}".encode()).digest())


def added(db: sqlite3.Connection) -> list[Added]:
    found = db.execute("SELECT value FROM log_info WHERE key = 'chain_added'").fetchone()
    return msgspec.json.decode(found[0], type=list[Added]) if found else []


def append_link(db: sqlite3.Connection, previous: bytes, rows: Sequence[Row]) -> bytes:
    """Adds the link of `rows`, whose positions are consecutive; returns its hash."""
    digests = b"".join([sha256(state).digest() for _, _, _, _, _, state, _ in rows])
    hasher = sha256(previous + digests)
    hasher.update("".join(map(columns, rows)).encode(errors="surrogateescape"))
    hash = hasher.digest()
    db.execute("INSERT INTO chain VALUES (?, ?, ?)", (rows[-1][0], digests, hash))
    return hash


def add_missing(db: sqlite3.Connection) -> None:
    """Adds links to the events after the end of the chain, recorded by a release without one. Uses its own
    transactions, so that a crash loses only one of them; a million events take about 8 s."""
    while True:
        db.execute("BEGIN IMMEDIATE")
        try:
            more = add_some(db)
            if not more and not is_complete(db):
                db.execute("INSERT OR REPLACE INTO log_info VALUES ('chain_complete', '1')")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if not more:
            return


def add_some(db: sqlite3.Connection) -> bool:
    """Adds links to some events after the end of the chain; returns False if there are none. Call it within a
    transaction. Events that are too damaged to be read are left without links, which `verify` reports."""
    end = tip(db)
    try:
        rows = _some(db, end.last)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        _log.error("The events after position %d cannot be read (%s): `replaystack verify`", end.last, error)
        return False
    if not rows:
        return False
    previous = end.hash
    for part in _parts(rows):
        previous = append_link(db, previous, part)
    _note_added(db, rows[0][0], rows[-1][0])
    return True


def _some(db: sqlite3.Connection, after: int) -> list[Row]:
    rows, size = [], 0
    db.text_factory = readable_text
    try:
        sql = f"SELECT {ROW} FROM events WHERE position > ? ORDER BY position LIMIT ?"
        for row in db.execute(sql, (after, _ADD_EVENTS)):
            rows.append((*row[:_STATE], content_bytes(row[_STATE]), row[-1]))
            size += len(rows[-1][_STATE])
            if size > _ADD_BYTES:
                break
    finally:
        db.text_factory = str
    return rows


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Splits rows into parts of at most 64 events; a missing position, as in a damaged log, starts a new
    part."""
    start = 0
    for index, row in enumerate(rows):
        if index - start == _LINK_EVENTS or (index > start and row[0] != rows[index - 1][0] + 1):
            yield rows[start:index]
            start = index
    yield rows[start:]


def _note_added(db: sqlite3.Connection, first: int, last: int) -> None:
    ranges = added(db)
    if ranges and ranges[-1].last == first - 1:
        first = ranges.pop().first
    else:
        _log.info("The events from position %d on have no hash chain yet: it is added", first)
    ranges.append(Added(first, last, strftime("%Y-%m-%dT%H:%M:%SZ", gmtime())))
    value = msgspec.json.encode(ranges).decode()
    db.execute("INSERT OR REPLACE INTO log_info VALUES ('chain_added', ?)", (value,))


def columns(row: Row) -> str:
    """Returns the part of an event, other than its content, that a link's hash covers."""
    position, stream, version, name, recorded_at, _, command = row
    lengths = f"{len(stream)}:{len(name)}:{len(command)}"
    return f"{position}:{version}:{recorded_at}:{lengths}:{stream}{name}{command}"


def _info(db: sqlite3.Connection, key: str) -> str:
    found = db.execute("SELECT value FROM log_info WHERE key = ?", (key,)).fetchone()
    return str(found[0]) if found else ""


def readable_text(text: bytes) -> str:
    """Decodes text for connections that must also read a damaged text."""
    return text.decode(errors="surrogateescape")


def content_bytes(state: object) -> bytes:
    """Returns an event's content as bytes, even if damage has changed its type."""
    return state if isinstance(state, bytes) else str(state).encode(errors="surrogateescape")
