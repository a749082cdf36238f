"""Splits an event stream into lines, from bytes that are cut anywhere. No I/O.

Lines end in LF, CRLF or CR, also mixed within one stream (WHATWG HTML, "Server-sent events").
"""

from __future__ import annotations

MAX_LINE_BYTES = 8 * 2**20

_BOM = b"\xef\xbb\xbf"


class LineTooLong(ValueError):
    """A line is longer than 8 MiB."""


class EventLines:
    """Accepts bytes and returns complete lines, each with its end. A byte order mark at the start is removed.
    `continued` is true if the latest bytes began with a LF that belongs to the previous CR."""

    def __init__(self) -> None:
        self.continued = False
        self._rest = bytearray()
        self._after_cr = False
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the lines that `data` completes. A CR at the end of `data` ends its line at once; a LF that
        follows it is discarded. Raises LineTooLong."""
        self.continued = False
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == 10:
                self.continued = True
                data = data[1:]
        if b"\n" not in data and b"\r" not in data:
            # Extended in place: a long line arrives in hundreds of parts.
            self._rest += data
            self._check()
            return []
        if self._rest:
            data = bytes(self._rest) + data
            self._rest.clear()
        if not self._begun:
            self._begun = True
            data = data.removeprefix(_BOM)
        lines = data.splitlines(True)
        if lines and lines[-1][-1] not in b"\r\n":
            self._rest += lines.pop()
            self._check()
        else:
            self._after_cr = data.endswith(b"\r")
        return lines

    def end(self) -> bytes:
        """Returns the last line, if it has no end."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest if self._begun else rest.removeprefix(_BOM)

    def _check(self) -> None:
        if len(self._rest) > MAX_LINE_BYTES:
            raise LineTooLong


def field_of(line: bytes) -> tuple[bytes, bytes]:
    """Returns name and value of a line, both without surrounding white space. A comment has the name `:`; a
    line without a colon has a name only."""
    if line.startswith(b"data:"):
        return b"data", line[5:].strip()
    name, colon, value = line.partition(b":")
    name = name.strip().lower()
    return (name or colon), value.strip()


FIELDS = frozenset((b"data", b"event", b"id", b"retry", b":"))


def is_done(payload: bytes) -> bool:
    """Returns whether an event's data is the mark after the last event of an answer."""
    return len(payload) < 12 and payload.strip(b"\"' ").upper() == b"[DONE]"
