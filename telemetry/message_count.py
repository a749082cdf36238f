"""How many rows a request in protobuf holds, counted on the wire.

An empty span takes 2 bytes there, 176 when it is decoded, and almost none when a million of them are compressed: 20 KB
become 2 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from telemetry.decoded import RowLimit
from telemetry.log import Signal

# Numbers of the fields that lead from a request to its rows: resources, scopes, spans or records; of metrics there are
# points, in one of five kinds of data.
_PATHS: dict[Signal, Sequence[Sequence[int]]] = {
    "traces": ((1,), (2,), (2,)),
    "logs": ((1,), (2,), (2,)),
    "metrics": ((1,), (2,), (2,), (5, 7, 9, 10, 11), (1,)),
}
_VARINT, _64_BITS, _BYTES, _32_BITS = 0, 1, 2, 5


def check_count(signal: Signal, body: bytes) -> None:
    """Raises TooLarge for more than a request may have. 0.5 us for each. What is no protobuf is not noticed here."""
    _count(body, 0, len(body), _PATHS[signal], RowLimit())


def _count(body: bytes, at: int, end: int, path: Sequence[Sequence[int]], limit: RowLimit) -> None:
    for number, start, stop in _fields(body, at, end):
        if number in path[0]:
            limit.add(1)
            if len(path) > 1:
                _count(body, start, stop, path[1:], limit)


def _fields(body: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Of the message between two places: number, beginning and end of each field that is bytes."""
    while at < end:
        tag, at = _varint(body, at)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(body, at)
            if size > end - at:
                return
            yield tag >> 3, at, at + size
            at += size
        elif kind == _VARINT:
            at = _varint(body, at)[1]
        elif kind in (_64_BITS, _32_BITS):
            at += 8 if kind == _64_BITS else 4


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Its value, and where it ends: behind the body where it does not."""
    value = shift = 0
    while at < len(body):
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            return value, len(body)
    return value, at
