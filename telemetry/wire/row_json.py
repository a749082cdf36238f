"""JSON text of a span's events and links."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_encode = msgspec.json.Encoder().encode


def event(time_ns: int, name: str, attributes: Mapping[bytes, bytes], dropped: int) -> bytes:
    return b'{"time_ns":%d,"name":%b,"attributes":%b%b}' % (
        time_ns,
        _encode(name),
        _object(attributes),
        b',"dropped_attributes":%d' % dropped if dropped else b"",
    )


def link(
    trace_id: bytes,
    span_id: bytes,
    trace_state: str,
    flags: int,
    attributes: Mapping[bytes, bytes],
    dropped: int,
) -> bytes:
    return b'{"trace_id":"%b","span_id":"%b"%b%b,"attributes":%b%b}' % (
        trace_id.hex().encode(),
        span_id.hex().encode(),
        b',"trace_state":%b' % _encode(trace_state) if trace_state else b"",
        b',"flags":%d' % flags if flags else b"",
        _object(attributes),
        b',"dropped_attributes":%d' % dropped if dropped else b"",
    )


def _object(attributes: Mapping[bytes, bytes]) -> bytes:
    return b"{%b}" % b",".join(attributes.values())
