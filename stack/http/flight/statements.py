"""The two things that a client holds between calls: tickets, which are signed and contain their query, and handles of
prepared statements, which are kept here."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from stack.errors import NotFound, TooManyRequests

MAX_PREPARED = 1000
MAX_PREPARED_BYTES = 64 * 2**20
IDLE_S = 600.0
"""Prepared statements that were not used for this time, in seconds, may make way for new ones."""
_MAC_BYTES = 16


class Statement(Struct, frozen=True):
    """A query that one caller may run. `columns` are those of its result as an Arrow schema message, if they are known:
    they depend on the parameters. `number` differs in every ticket."""

    actor: str
    query: str
    parameters: list[Any]
    columns: bytes = b""
    number: str = ""


class Tickets:
    """Tickets are good for this server until it ends."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issued(self, statement: Statement) -> bytes:
        number = secrets.token_hex(8)
        content = msgspec.json.encode(msgspec.structs.replace(statement, columns=b"", number=number))
        return self._mac(content) + content

    def statement(self, ticket: bytes, actor: str) -> Statement:
        """Raises NotFound for a ticket that this server did not issue to this caller."""
        mac, content = ticket[:_MAC_BYTES], ticket[_MAC_BYTES:]
        if hmac.compare_digest(mac, self._mac(content)):
            statement = msgspec.json.decode(content, type=Statement)
            if statement.actor == actor:
                return statement
        raise NotFound(
            "The ticket is unknown: it is of another server, another start, or another API key. Run the query again."
        )

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)[:_MAC_BYTES]


class _Prepared(Struct):
    statement: Statement
    size: int
    used_at_s: float


class PreparedStatements:
    """The least recently used ones make way if they are idle. Used in one thread."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._prepared: OrderedDict[bytes, _Prepared] = OrderedDict()
        self._size = 0

    def add(self, statement: Statement) -> bytes:
        """Returns the handle. Raises TooManyRequests."""
        handle = secrets.token_bytes(16)
        self._put(handle, statement)
        return handle

    def bind(self, handle: bytes, actor: str, parameters: list[Any]) -> None:
        """Raises NotFound, TooManyRequests."""
        statement = self.used(handle, actor)
        self._put(handle, msgspec.structs.replace(statement, parameters=parameters, columns=b""))

    def used(self, handle: bytes, actor: str) -> Statement:
        """Raises NotFound."""
        found = self._prepared.get(handle)
        if found is None or found.statement.actor != actor:
            raise NotFound(
                "The prepared statement is unknown: it was closed or not used for long. Prepare it again."
            )
        found.used_at_s = self._clock_s()
        self._prepared.move_to_end(handle)
        return found.statement

    def close(self, handle: bytes, actor: str) -> None:
        """Does nothing for a statement that is closed."""
        found = self._prepared.get(handle)
        if found is not None and found.statement.actor == actor:
            self._drop(handle)

    def _put(self, handle: bytes, statement: Statement) -> None:
        size = len(msgspec.json.encode(statement))
        former = self._prepared.get(handle)
        more, more_bytes = (1, size) if former is None else (0, size - former.size)
        while (
            len(self._prepared) + more > MAX_PREPARED or self._size + more_bytes > MAX_PREPARED_BYTES
        ) and self._prepared:
            oldest = next(iter(self._prepared))
            if self._clock_s() - self._prepared[oldest].used_at_s < IDLE_S:
                raise TooManyRequests(
                    f"{len(self._prepared)} prepared statements with {self._size} bytes are open; close those that are "
                    "no longer used."
                )
            self._drop(oldest)
        self._prepared[handle] = _Prepared(statement, size, self._clock_s())
        self._size += more_bytes

    def _drop(self, handle: bytes) -> None:
        self._size -= self._prepared.pop(handle).size
