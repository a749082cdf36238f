"""Named queries with parameters, and content that may be in the blob store."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

Row = tuple[Any, ...]

# The value of a query's `as_of` for the present: no position is greater.
NOW = 2**63 - 1

PAGE_BYTES = 16 * 2**20
_FIRST_ROWS = 256
_LEAST_ROWS = 16

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1)  # UTC; naive, so that no offset is printed


class Reader(Protocol):
    """The interface for the query functions of the read models, implemented by the warehouse and
    `HydratingReader`."""

    def read(self, query: str, params: Mapping[str, Any]) -> list[Row]:
        """Returns the rows of the query in `sql/queries/<query>.sql`. Blocks; thread-safe. Raises
        ViewBehind."""
        ...

    def hydrate(self, content: bytes) -> bytes:
        """Returns `content` (JSON) with each `{"$blob": ...}` replaced by its blob."""
        ...


class HydratingReader:
    """A reader that wraps another one and inserts blobs with `hydrate`."""

    def __init__(self, reader: Reader, hydrate: Callable[[bytes], bytes]) -> None:
        self._reader = reader
        self._hydrate = hydrate

    def read(self, query: str, params: Mapping[str, Any]) -> list[Row]:
        return self._reader.read(query, params)

    def hydrate(self, content: bytes) -> bytes:
        # Nearly all content has no blobs, and searching for a literal is much cheaper than decoding. A
        # caller's own key of that name is escaped with a second `$`, so it is found too.
        return self._hydrate(content) if b'$blob"' in content else content


def rfc3339(microseconds: int) -> str:
    """Formats microseconds since 1970 UTC as RFC 3339 with microseconds and `Z`."""
    # A long response formats 1,000 of these; `strftime` takes ten times as long.
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{rest:06}Z"


@functools.lru_cache(1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def page_of(
    fetch: Callable[[int, int, int], list[Row]],
    make: Callable[[Row], tuple[T, int]],
    start_index: int,
    limit: int | None,
    max_bytes: int,
) -> tuple[list[T], bool]:
    """Returns items from `start_index` on, at most `limit` (None: all) and about `max_bytes`, at least one;
    and whether more follow.

    `fetch` is given the number of rows to skip, the number of rows to return and a position, and returns rows
    after that position, each with its own position as the last column. `make` returns an item and its size in
    bytes. Rows are read a few at a time, so that a page of large items does not read all that follow.
    """
    items: list[T] = []
    size = after = 0
    while limit is None or len(items) < limit:
        fitting = max(_LEAST_ROWS, (max_bytes - size) * len(items) // size + 1) if size else _FIRST_ROWS
        wanted = fitting if limit is None else min(fitting, limit - len(items))
        rows = fetch(0 if items else start_index, wanted + 1, after)
        for row in rows[:wanted]:
            item, item_bytes = make(row)
            if items and size + item_bytes > max_bytes:
                return items, True
            items.append(item)
            size += item_bytes
            after = row[-1]
        if len(rows) <= wanted:
            return items, False
    return items, bool(items) or bool(fetch(start_index, 1, 0))


def window(start_index: int, limit: int | None) -> tuple[int, int]:
    """Returns offset and number of rows to fetch for a page: one more than `limit`, to find out whether more
    follow."""
    return start_index, NOW if limit is None else limit + 1
