"""Arrow's IPC streams, and the same messages as `FlightData`: they differ in their frames only, so that no batch is
decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from msgspec import Struct

CONTINUATION = b"\xff\xff\xff\xff"
END = CONTINUATION + b"\0\0\0\0"
MAX_HEADER_BYTES = 2**26
MAX_BODY_BYTES = 2**31
_BODY_LENGTH_SLOT = 10
"""Offset of the field `bodyLength` in the vtable of `Message` (`Message.fbs`)."""


class Malformed(ValueError):
    """The bytes are not a stream of Arrow IPC."""


class Message(Struct, frozen=True):
    """`header` is a flatbuffer `Message`, padded to 8 bytes."""

    header: bytes
    body: bytes

    @property
    def encapsulated(self) -> bytes:
        """The message as it is in a stream; in this form schemas are shown in answers."""
        return CONTINUATION + struct.pack("<i", len(self.header)) + self.header + self.body

    @property
    def flight_data(self) -> bytes:
        return flight_data(self.header, [self.body])


def flight_data(header: bytes, body: Sequence[bytes]) -> bytes:
    """Returns a message, whose body is given in parts, as an encoded `FlightData`: fields 2 and 1000."""
    size = sum(map(len, body))
    return b"".join((b"\x12", _varint(len(header)), header, b"\xc2\x3e", _varint(size), *body))


def flight_data_of(parts: Sequence[bytes]) -> bytes:
    """Returns the parts of one message of a stream, the first with its header at least, as `FlightData`."""
    first = parts[0]
    start = 8 + int.from_bytes(first[4:8], "little")
    return flight_data(first[8:start], [first[start:], *parts[1:]])


class Splitter:
    """Takes a stream in pieces of any size."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.ended = False

    def messages(self, piece: bytes) -> Iterator[Message]:
        """Yields the messages that are complete now. Raises Malformed."""
        self._data += piece
        at = 0
        while not self.ended and (found := self._next(at)) is not None:
            message, at = found
            yield message
        del self._data[:at]

    def _next(self, at: int) -> tuple[Message, int] | None:
        data = self._data
        if len(data) < at + 8:
            return None
        if data[at : at + 4] != CONTINUATION:
            raise Malformed("a message does not begin with a continuation marker")
        (length,) = struct.unpack_from("<i", data, at + 4)
        if length == 0:
            self.ended = True
            return None
        if not 0 < length <= MAX_HEADER_BYTES:
            raise Malformed(f"a header has {length} bytes")
        start, end = at + 8, at + 8 + length
        if len(data) < end:
            return None
        header = bytes(data[start:end])
        body_bytes = body_length(header)
        if len(data) < end + body_bytes:
            return None
        with memoryview(data) as view:
            body = bytes(view[end : end + body_bytes])
        return Message(header, body), end + body_bytes


def body_length(header: bytes) -> int:
    """Returns the length of the body in bytes that follows a header. Raises Malformed."""
    try:
        (table,) = struct.unpack_from("<I", header)
        (to_vtable,) = struct.unpack_from("<i", header, table)
        vtable = table - to_vtable
        if vtable < 0:
            raise Malformed("a header has no table")
        (vtable_bytes,) = struct.unpack_from("<H", header, vtable)
        if vtable_bytes < 4:
            raise Malformed("a header has no table")
        if vtable_bytes < _BODY_LENGTH_SLOT + 2:
            return 0
        (offset,) = struct.unpack_from("<H", header, vtable + _BODY_LENGTH_SLOT)
        if not offset:
            return 0
        (length,) = struct.unpack_from("<q", header, table + offset)
    except struct.error:
        raise Malformed("a header is cut off") from None
    if not 0 <= length <= MAX_BODY_BYTES:
        raise Malformed(f"a body has {length} bytes")
    return int(length)


def schema_of(stream: bytes) -> bytes:
    """Returns the first message of a stream, which has its schema. Raises Malformed."""
    for message in Splitter().messages(stream):
        return message.encapsulated
    raise Malformed("a stream has no schema")


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
