"""Converts requests to rows: decompresses within limits, decodes, validates."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from telemetry.log.port import Compression, Content, Encoding, Signal
from telemetry.wire.decoded import Decoded
from telemetry.wire.form import Form
from telemetry.wire.refusals import Malformed, TooLarge

MAX_MEMBERS = 4096
"""Maximum number of gzip members. Writers of several use 64 KiB or more for each; a million empty ones take
10 s."""

_SLICE_BYTES = 16_384
# The values by which zlib selects the kind of header.
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15


def receive(content: Content, body: bytes, max_bytes: int) -> Decoded:
    """Decodes a request; the result is the same on each call. Raises Malformed, and TooLarge if the body has
    more than `max_bytes` after decompression."""
    form = _form(content.encoding)
    request = form.request(content.signal, unpacked(body, content.compression, max_bytes))
    return _decoder(content.signal)(form, request)


def unpacked(body: bytes, compression: Compression, max_bytes: int) -> bytes:
    """Decompresses, and stops at the first excess byte, because the size is not known in advance. Raises
    Malformed, TooLarge."""
    if compression == "identity":
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    if compression == "gzip":
        return _members(body, max_bytes)
    try:
        return _stream(body, _ZLIB, max_bytes)
    except Malformed:
        # Some senders of `deflate` omit the zlib header.
        return _stream(body, _RAW_DEFLATE, max_bytes)


def _members(body: bytes, max_bytes: int) -> bytes:
    """Decompresses gzip, which may have several members."""
    parts: list[bytes] = []
    at, left = 0, max_bytes
    while at < len(body) or not parts:
        if len(parts) == MAX_MEMBERS:
            raise Malformed(f"The body has more than {MAX_MEMBERS} gzip members.")
        part, at = _unpacked_from(body, at, _GZIP, left, max_bytes)
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _stream(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    content, end = _unpacked_from(body, 0, window_bits, max_bytes, max_bytes)
    if end < len(body):
        raise Malformed("The body continues after the end of its deflate stream.")
    return content


def _unpacked_from(body: bytes, at: int, window_bits: int, left: int, max_bytes: int) -> tuple[bytes, int]:
    """Returns the content of the stream that begins at `at`, and its end."""
    unpacking = zlib.decompressobj(window_bits)
    parts: list[bytes] = []
    try:
        # In slices, because the bytes after the end of a stream are copied.
        while at < len(body) and not unpacking.eof:
            slice_ = body[at : at + _SLICE_BYTES]
            at += len(slice_)
            parts.append(unpacking.decompress(slice_, left + 1))
            left -= len(parts[-1])
            if left < 0:
                raise _too_large(max_bytes)
    except zlib.error:
        raise Malformed("The body is not compressed as Content-Encoding says.") from None
    if not unpacking.eof:
        raise Malformed("The body ends before its compressed stream does.")
    return b"".join(parts), at - len(unpacking.unused_data)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request has more than {max_bytes} bytes when unpacked. Send less at a time.")


@cache
def _form(encoding: Encoding) -> Form:
    if encoding == "json":
        from telemetry.wire.json_form import JsonForm

        return JsonForm()
    from telemetry.wire.protobuf_form import ProtobufForm

    return ProtobufForm()


def _decoder(signal: Signal) -> Callable[[Form, Any], Decoded]:
    module = import_module(f"telemetry.wire.decode_{signal}")
    decode: Callable[[Form, Any], Decoded] = module.decode
    return decode
