"""The queries of the log: a stream, many streams, the records after a position, a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from projections.warehouse.feed import DAMAGED, Record
from stack.eventstore.appends import Command
from stack.eventstore.codec import REDACTED_STATE
from stack.eventstore.damage import NOT_RECORDED, Damage, event_damaged
from stack.eventstore.port import MOST_BYTES, NamedRecords
from stack.eventstore.sqlite.chain import DIGEST_OF_EVENT
from stack.eventstore.sqlite.in_statement import InStatement
from stack.eventstore.sqlite.readers import Readers

_RECORD = f"position, stream, version, name, recorded_at, state, {DIGEST_OF_EVENT}"
_STATE, _DIGEST = 5, 6
_STREAMS = InStatement(f"SELECT {_RECORD} FROM events WHERE stream IN ({{}}) ORDER BY stream, version")
_NAMES = InStatement("SELECT DISTINCT name FROM events WHERE stream IN ({})")
# The event of an earlier deletion has no content.
_WITH_CONTENT = InStatement(
    f"SELECT count(*) FROM events WHERE stream IN ({{}}) AND state <> X'{REDACTED_STATE.hex()}' "
    "AND name NOT GLOB '*.deleted.*' AND name NOT GLOB '*.unregistered.*'"
)
_BLOBS = InStatement(
    "SELECT DISTINCT r.digest FROM blob_refs AS r JOIN events AS e ON e.position = r.position WHERE e.stream IN ({})"
)
# By halves over the primary key: 20 look-ups in a million events, and no index that each append would write. Each looks up
# the last event at or before a position, because not every position has one.
_POSITION_AT = """
    WITH RECURSIVE search(low, step) AS (
        SELECT 0, ?1
        UNION ALL
        SELECT
            low + iif(
                low + step <= ?2 AND coalesce((
                    SELECT recorded_at FROM events WHERE position <= low + step ORDER BY position DESC LIMIT 1
                ) <= ?3, TRUE),
                step,
                0
            ),
            step / 2
        FROM search
        WHERE step > 0
    )
    SELECT low FROM search WHERE step = 0
"""
_ALWAYS_LAST = "\U0010ffff"


def _enough(max_bytes: int) -> Callable[[tuple[Any, ...]], bool]:
    """Ends a read by position once its states have this size: events contain up to 64 KiB of rows each, and a rebuild reads
    50,000 at once."""
    size = 0

    def enough(row: tuple[Any, ...]) -> bool:
        nonlocal size
        size += len(row[_STATE])
        return size >= max_bytes

    return enough


class LogReader:
    """Blocks; thread-safe. Raises Unavailable if the log cannot be read, and ContentDamaged for an event
    whose content is damaged."""

    def __init__(self, readers: Readers, damage: Damage) -> None:
        self._readers = readers
        self.damage = damage

    def head(self) -> int:
        rows = self._readers.query("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return int(rows[0][0]) if rows else 0

    def position_at(self, time_us: int) -> int:
        head = self.head()
        [(position,)] = self._readers.query(_POSITION_AT, (1 << head.bit_length() >> 1, head, time_us))
        return int(position)

    def after(self, position: int, limit: int) -> list[Record]:
        """Returns at most `limit` records, fewer if they exceed 64 MiB. A damaged one has `DAMAGED` as its
        content."""
        rows = self._readers.query(
            f"SELECT {_RECORD} FROM events WHERE position > ? ORDER BY position LIMIT ?",
            (position, limit),
            _enough(MOST_BYTES),
        )
        return [self._marked(row) for row in rows]

    def selected(self, wanted: NamedRecords) -> list[Record]:
        """Returns the selected records in order. A damaged one has `DAMAGED` as its content."""
        conditions, parameters = ["position BETWEEN ? AND ?"], [wanted.first, wanted.last]
        others: list[str] = []
        order = "position"
        if wanted.names:
            conditions.append(f"name IN ({', '.join('?' * len(wanted.names))})")
            others += wanted.names
        if wanted.stream:
            # With the index of streams, in which versions have the order of positions.
            conditions[0], order = f"+{conditions[0]}", "version"
            conditions.append("stream = ?")
            others.append(wanted.stream)
        if wanted.prefix:
            # Without that index: the events of all streams of a category would be sorted by position.
            conditions.append("+stream >= ? AND +stream < ?")
            others += (wanted.prefix, wanted.prefix + _ALWAYS_LAST)
        rows = self._readers.query(
            f"SELECT {_RECORD} FROM events WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?",
            (*parameters, *others, wanted.limit),
            _enough(wanted.max_bytes),
        )
        return [self._marked(row) for row in rows]

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
        sql, parameters = f"SELECT {_RECORD} FROM events WHERE stream = ?", [stream]
        bounds: list[int] = []
        if after is not None:
            sql += " AND version > ?"
            bounds.append(after)
        if until is not None:
            sql += " AND version <= ?"
            bounds.append(until)
        if as_of is not None:
            sql += " AND position <= ?"
            bounds.append(as_of)
        sql += f" ORDER BY version {'DESC' if newest_first else 'ASC'}"
        if limit is not None:
            sql += " LIMIT ?"
            bounds.append(limit)
        return [self._intact(row) for row in self._readers.query(sql, (*parameters, *bounds))]

    def streams(self, streams: Sequence[str]) -> list[Record]:
        """Returns the events of many streams, 200 streams per query, by stream and version. A damaged one has
        `DAMAGED` as its content."""
        found: list[Record] = []
        for sql, chunk in _STREAMS.over(dict.fromkeys(streams)):
            found.extend([self._marked(row) for row in self._readers.query(sql, chunk)])
        return found

    def names_in(self, streams: Sequence[str]) -> set[str]:
        """Returns the names of the events of these streams, as stored."""
        found: set[str] = set()
        for sql, chunk in _NAMES.over(dict.fromkeys(streams)):
            found.update([name for (name,) in self._readers.query(sql, chunk)])
        return found

    def command(self, prefix: str, since_us: int) -> Command | None:
        """Returns the newest command whose id begins with `prefix`, recorded at or after `since_us`."""
        rows = self._readers.query(
            "SELECT command FROM events WHERE command <> '' AND command >= ? AND command < ? "
            "AND recorded_at >= ? ORDER BY position DESC LIMIT 1",
            (prefix, prefix + _ALWAYS_LAST, since_us),
        )
        if not rows:
            return None
        command = rows[0][0]
        events = self._readers.query(
            "SELECT position, recorded_at, stream FROM events "
            "WHERE command <> '' AND command = ? ORDER BY position",
            (command,),
        )
        streams = tuple(dict.fromkeys(stream for _, _, stream in events))
        return Command(command, events[0][0], events[0][1], streams)

    def held_by(self, streams: Sequence[str]) -> tuple[int, int]:
        """Returns how many events of these streams have content, and how many blobs they name."""
        events, digests = 0, set()
        for sql, chunk in _WITH_CONTENT.over(dict.fromkeys(streams)):
            events += sum([count for (count,) in self._readers.query(sql, chunk)])
        for sql, chunk in _BLOBS.over(dict.fromkeys(streams)):
            digests.update([digest for (digest,) in self._readers.query(sql, chunk)])
        return events, len(digests)

    def referenced(self, digest: str) -> bool:
        return bool(self._readers.query("SELECT 1 FROM blob_refs WHERE digest = ? LIMIT 1", (digest,)))

    def _marked(self, row: tuple[Any, ...]) -> Record:
        return Record._make(row[:_DIGEST] if self._is_intact(row) else (*row[:_STATE], DAMAGED))

    def _intact(self, row: tuple[Any, ...]) -> Record:
        if self._is_intact(row):
            return Record._make(row[:_DIGEST])
        raise event_damaged(row[0], row[1], row[3], NOT_RECORDED)

    def _is_intact(self, row: tuple[Any, ...]) -> bool:
        state, digest = row[_STATE], row[_DIGEST]
        if digest is None or state == REDACTED_STATE:
            return True
        if isinstance(state, bytes) and sha256(state).digest() == digest:
            return True
        self.damage.note(f"event {row[0]}: {NOT_RECORDED}")
        return False
