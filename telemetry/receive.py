"""Requests from the wire to rows: unpacked within limits, decoded, checked."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from telemetry.decoded import Decoded
from telemetry.log import Compression, Content, Encoding, Signal
from telemetry.refusals import Malformed, TooLarge

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_RAW_DEFLATE = -15


def receive(content: Content, body: bytes, max_bytes: int) -> Decoded:
    """What the request holds; the same whenever it is asked for. Raises Malformed, and TooLarge where the body has more
    than `max_bytes` once it is unpacked."""
    form = _form(content.encoding)
    request = form.request(content.signal, unpacked(body, content.compression, max_bytes))
    return _decoder(content.signal)(form, request)


def unpacked(body: bytes, compression: Compression, max_bytes: int) -> bytes:
    """Stops at the first byte too many: what a few bytes unpack to is not known before."""
    if compression == "identity":
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    bits = _WINDOW_BITS[compression]
    if compression == "deflate" and not _has_zlib_header(body):
        bits = _RAW_DEFLATE
    parts: list[bytes] = []
    left = max_bytes + 1
    try:
        while body or not parts:
            unpacking = zlib.decompressobj(bits)
            parts.append(unpacking.decompress(body, left))
            left -= len(parts[-1])
            if left <= 0:
                raise _too_large(max_bytes)
            if not unpacking.eof:
                raise Malformed(f"The body ends before its {compression} stream does.")
            body = unpacking.unused_data  # gzip may have several members
            if compression == "deflate":
                break
    except zlib.error:
        raise Malformed(f"The body is not {compression}, as Content-Encoding says.") from None
    return b"".join(parts)


def _has_zlib_header(body: bytes) -> bool:
    """Some senders take `deflate` at its word and leave out the zlib header."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request has more than {max_bytes} bytes when unpacked. Send less at a time.")


@cache
def _form(encoding: Encoding) -> Any:
    if encoding == "json":
        from telemetry.json_form import JsonForm

        return JsonForm()
    from telemetry.protobuf_form import ProtobufForm

    return ProtobufForm()


def _decoder(signal: Signal) -> Callable[[Any, Any], Decoded]:
    module = import_module(f"telemetry.decode_{signal}")
    decode: Callable[[Any, Any], Decoded] = module.decode
    return decode
