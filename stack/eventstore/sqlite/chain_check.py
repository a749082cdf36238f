"""Compares events with the hash chain: all of them for `verify`, the newest ones at each start."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from hashlib import sha256

from stack.eventstore.codec import REDACTED_STATE
from stack.eventstore.sqlite import chain
from stack.eventstore.sqlite.chain import DIGEST_BYTES, Link, Row, Tip

# The limits of the check at a start, which takes about 10 ms.
_TAIL_EVENTS = 1_000
_TAIL_BYTES = 8 * 2**20


class ChainCheck:
    """Takes events in the order of their positions. `add` is called with each problem; `covered` counts the
    events with a link, and `without` contains the first and last position of each range of events that have
    none."""

    def __init__(self, links: Iterator[Link], start: Tip, add: Callable[[str], None]) -> None:
        self.covered = 0
        self.without: list[tuple[int, int]] = []
        self._links = links
        self._add = add
        self._previous = start.hash
        self._covered_until = start.last
        self._link: Link | None = None
        self._next_link()

    def take(self, row: Row) -> None:
        """Checks the next event. Columns may have any type, because the log may be damaged."""
        position = row[0]
        while self._link is not None and position > self._link.last:
            self._end_link(self._link)
        if self._link is None or position < self._link.first:
            self._without_link(position)
            return
        self.covered += 1
        self._taken += 1
        start = (position - self._link.first) * DIGEST_BYTES
        recorded = self._link.digests[start : start + DIGEST_BYTES]
        if row[5] != REDACTED_STATE and sha256(chain.content_bytes(row[5])).digest() != recorded:
            self._add(f"event {position}: its content is not what was recorded")
        stream, name, command = map(_text, (row[1], row[3], row[6]))
        columns = chain.columns((position, stream, row[2], name, row[4], b"", command))
        self._hasher.update(columns.encode(errors="surrogateescape"))

    def end(self) -> None:
        """Called after the last event."""
        while self._link is not None:
            self._end_link(self._link)

    def _next_link(self) -> None:
        link = self._link = next(self._links, None)
        if link is None:
            return
        self._taken = 0
        self._hasher = sha256(self._previous + link.digests)
        if link.first <= self._covered_until:
            self._add(f"the hash chain covers event {link.first} twice")

    def _end_link(self, link: Link) -> None:
        expected = link.last - link.first + 1
        which = f"event {link.last}" if expected == 1 else f"events {link.first} to {link.last}"
        if self._taken != expected:
            self._add(f"{which}: {expected} were recorded and {self._taken} are there")
        elif self._hasher.digest() != link.hash:
            self._add(
                f"{which}: the hash chain is broken. A stream, version, name, time or command was changed, or events "
                "were removed, swapped or inserted"
            )
        self._previous, self._covered_until = link.hash, link.last
        self._next_link()

    def _without_link(self, position: int) -> None:
        if self.without and self.without[-1][1] == position - 1:
            self.without[-1] = (self.without[-1][0], position)
        else:
            self.without.append((position, position))


def links(db: sqlite3.Connection, after: int = 0) -> Iterator[Link]:
    for last, digests, hash in db.execute(
        "SELECT last, digests, hash FROM chain WHERE last > ? ORDER BY last", (after,)
    ):
        yield Link(last, chain.content_bytes(digests), chain.content_bytes(hash))


EPOCH_CHANGED = (
    "the log's epoch was changed, so the read models are taken for those of another copy and are built again"
)


def tail_problems(db: sqlite3.Connection) -> list[str]:
    """Returns the problems of the last 1,000 events, or the last 8 MiB of them."""
    db.text_factory = chain.readable_text
    try:
        return _tail_problems(db)
    except sqlite3.Error as error:
        return [f"its newest events cannot be read ({error})"]


def _tail_problems(db: sqlite3.Connection) -> list[str]:
    problems = [] if chain.epoch_is_sealed(db) else [EPOCH_CHANGED]
    start = _tail_start(db)
    check = ChainCheck(links(db, start.last), start, problems.append)
    for row in db.execute(
        f"SELECT {chain.ROW} FROM events WHERE position > ? ORDER BY position", (start.last,)
    ):
        check.take(row)
    check.end()
    return [*problems, *map(without_link, check.without)]


def without_link(events: tuple[int, int]) -> str:
    return (
        f"events {events[0]} to {events[1]} have no link in the hash chain: an earlier release wrote them, or the chain "
        "was cut"
    )


def _tail_start(db: sqlite3.Connection) -> Tip:
    """Returns the link after which the checked tail begins."""
    size, first = 0, 0
    for position, state_bytes in db.execute(
        "SELECT position, length(state) FROM events ORDER BY position DESC LIMIT ?", (_TAIL_EVENTS,)
    ):
        first = position
        size += state_bytes
        if size > _TAIL_BYTES:
            break
    found = db.execute(
        "SELECT last, hash FROM chain WHERE last < ? ORDER BY last DESC LIMIT 1", (first,)
    ).fetchone()
    return Tip(*found) if found else chain.start(db)


def _text(column: object) -> str:
    return column if isinstance(column, str) else repr(column)
