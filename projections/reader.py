"""How queries read: named queries with parameters, and content that may lie in the blob store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

Row = tuple[Any, ...]

# A query's `as_of` when the present is asked for: no position is greater.
NOW = 2**63 - 1

_EPOCH = datetime(1970, 1, 1)  # UTC; naive, so that no offset is printed


class Reader(Protocol):
    """What the query functions of the read models need. The warehouse is one; so is `HydratingReader`."""

    def read(self, query: str, params: Mapping[str, Any]) -> list[Row]:
        """Rows of the query in `sql/queries/<query>.sql`. Blocks; any thread. Raises ViewBehind."""
        ...

    def hydrate(self, content: bytes) -> bytes:
        """`content` (JSON) with each `{"$blob": ...}` replaced by what it stands for."""
        ...


class HydratingReader:
    """A reader over another one that fills in blobs with `hydrate`."""

    def __init__(self, reader: Reader, hydrate: Callable[[bytes], bytes]) -> None:
        self._reader = reader
        self._hydrate = hydrate

    def read(self, query: str, params: Mapping[str, Any]) -> list[Row]:
        return self._reader.read(query, params)

    def hydrate(self, content: bytes) -> bytes:
        # Nearly all content is without blobs, and a search for a literal costs nothing beside decoding. A
        # caller's own key of that name is escaped with a second `$`, so it is found too.
        return self._hydrate(content) if b'$blob"' in content else content


def rfc3339(microseconds: int) -> str:
    """Microseconds since 1970 UTC as RFC 3339 with microseconds and `Z`."""
    # A session of 200 turns formats 1,000 of these; `strftime` takes five times as long.
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds") + "Z"


def window(start_index: int, limit: int | None) -> tuple[int, int]:
    """Offset and number of rows to fetch for a page: one more than `limit`, which tells whether more follow."""
    return start_index, NOW if limit is None else limit + 1
