"""Separates the output of an MCP server into lines, drops what no one needs, and limits the rest."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

MAX_MESSAGE_BYTES = 8 * 2**20
"""Maximum size of one message of a server, in bytes. Parsing holds the interpreter lock: about 5 ms per MiB."""
MAX_UNREADABLE = 1_000
"""A server whose output has more lines in succession that are not messages is ended."""

_HEAD_BYTES = 512
_ID = re.compile(rb'"id"\s*:\s*(\d{1,15})\b')
# Notifications that have an effect here. All others (progress, log messages) are dropped before they are parsed.
_NEEDED = frozenset(
    (
        "notifications/tools/list_changed",
        "notifications/cancelled",
        "notifications/subscriptions/acknowledged",
    )
)


class Unreadable(Struct, frozen=True):
    """A line that is not a message, or is too long. `answers` is the id of the request that it seems to answer."""

    reason: str
    answers: int | None


class _Head(Struct):
    id: Any = None
    method: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


class Lines:
    """Takes pieces of output, returns complete lines. Holds at most MAX_MESSAGE_BYTES."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[bytes | Unreadable]:
        *complete, rest = piece.split(b"\n")
        for end in complete:
            line = self._completed(end)
            if line is not None:
                yield line
        if not self._skipping and rest:
            self._pieces.append(rest)
            self._size += len(rest)
            if self._size > MAX_MESSAGE_BYTES:
                yield self._too_long()
                self._skipping = True

    def _completed(self, end: bytes) -> bytes | Unreadable | None:
        if self._skipping:
            self._skipping = False
            return None
        if self._size + len(end) > MAX_MESSAGE_BYTES:
            self._pieces.append(end)
            return self._too_long()
        line = b"".join((*self._pieces, end))
        self._pieces.clear()
        self._size = 0
        return line if line.strip() else None

    def _too_long(self) -> Unreadable:
        head = b"".join(self._pieces[:1])[:_HEAD_BYTES]
        self._pieces.clear()
        self._size = 0
        return Unreadable(f"a message is larger than {MAX_MESSAGE_BYTES} bytes", answered(head))


def answered(line: bytes) -> int | None:
    """Returns the id of the request that a damaged line seems to answer."""
    head = line[:_HEAD_BYTES]
    found = None if b'"method"' in head else _ID.search(head)
    return int(found[1]) if found else None


class Budget:
    """Limits events per second, with a burst of five seconds' worth."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._left = self._most = 5 * per_second
        self._at = time.monotonic()

    def take(self, amount: float = 1.0) -> bool:
        """Returns False if the budget is used up."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < amount:
            return False
        self._left -= amount
        return True


class Needed:
    """Selects the messages that the client needs. Requests of the server, and notifications, are limited in number:
    each request is answered, and a server that does not read the answers would fill the memory."""

    def __init__(self) -> None:
        self._requests = Budget(50)
        self._changes = Budget(10)

    def kind(self, line: bytes) -> str:
        """Returns `needed`, `dropped`, or `unreadable`."""
        try:
            head = _decode_head(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "unreadable"
        return "needed" if self.wants(head.method, head.id) else "dropped"

    def wants(self, method: str | None, id: object) -> bool:
        if method is None:
            return True
        if id is not None:
            return self._requests.take()
        return method in _NEEDED and self._changes.take()
