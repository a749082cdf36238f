"""Counts the messages of a protobuf request without decoding it.

An empty span takes 2 bytes encoded, 176 bytes decoded, and almost nothing if a million of them are
compressed: 20 KB become 2 GB. Only large requests are counted; it takes 0.5 us per message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from telemetry.log.port import Signal
from telemetry.wire import row_limit
from telemetry.wire.row_limit import RowLimit

Kind: TypeAlias = dict[int, "Kind"]
"""A kind of message: maps the numbers of the fields that are counted to the kinds of their content."""

_ROW: Kind = {}
_ROWS: Kind = {1: {2: {2: _ROW}}}
_POINTS: Kind = {1: _ROW}
_REQUESTS: dict[Signal, Kind] = {
    "traces": _ROWS,
    "logs": _ROWS,
    "metrics": {1: {2: {2: dict.fromkeys((5, 7, 9, 10, 11), _POINTS)}}},
}
# AnyValue, with its lists of values and of attributes, which have values.
_VALUE: Kind = {}
_ATTRIBUTE: Kind = {2: _VALUE}
_VALUE |= {5: {1: _VALUE}, 6: {1: _ATTRIBUTE}}

_MESSAGE_BYTES = 2
_MAX_DEPTH = 100
"""Maximum nesting of messages; protobuf rejects more."""
_VARINT, _64_BITS, _BYTES, _32_BITS = 0, 1, 2, 5


def check_rows(signal: Signal, body: bytes) -> None:
    """Raises TooLarge if a request has too many rows. Invalid protobuf is not detected here."""
    if len(body) > row_limit.MAX_ROWS * _MESSAGE_BYTES:
        _count(body, 0, len(body), _REQUESTS[signal], RowLimit(), 0)


def check_values(encoded: bytes, *, is_attribute: bool = False) -> None:
    """Like `check_rows`, for the values within an `AnyValue` or a `KeyValue`."""
    if len(encoded) > row_limit.MAX_ROWS * _MESSAGE_BYTES:
        kind = _ATTRIBUTE if is_attribute else _VALUE
        _count(encoded, 0, len(encoded), kind, RowLimit("values in one attribute"), 0)


def _count(body: bytes, at: int, end: int, kind: Kind, limit: RowLimit, depth: int) -> None:
    for number, start, stop in _fields(body, at, end):
        held = kind.get(number)
        if held is not None:
            limit.add(1)
            if held and depth < _MAX_DEPTH:
                _count(body, start, stop, held, limit, depth + 1)


def _fields(body: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields number, beginning and end of each length-delimited field of the message between two offsets."""
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
    """Returns a varint and its end; the end is after the body if the varint is incomplete."""
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
