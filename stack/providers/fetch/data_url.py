"""Decodes `data:` URLs (RFC 2397). Pure; takes as long as the decoding: use a thread for long URLs."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote_to_bytes

from stack.errors import Invalid
from stack.providers.fetch.port import Fetched

MAX_HEAD_CHARACTERS = 1024
DEFAULT_MEDIA_TYPE = "text/plain;charset=US-ASCII"
UNKNOWN_MEDIA_TYPE = "application/octet-stream"
# Sent by clients that found no media type: llama-stack-client sends `data:None;base64,...`.
_NO_MEDIA_TYPE = ("none", "null", "undefined")
_BASE64_HEAD = re.compile(r"(.*);\s*base64\s*", re.IGNORECASE | re.DOTALL)
_SPACE = b" \t\r\n\f"
# `a2b_base64` holds the GIL: 1.9 ms per MiB. Slices of 256 KiB let other threads run in between.
SLICE_CHARACTERS = 256 * 1024


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def split(url: str) -> tuple[str, bool, str]:
    """Returns the media type, whether the rest is base64, and the rest, undecoded. Raises Invalid."""
    comma = url.find(",", 5, MAX_HEAD_CHARACTERS)
    if comma < 0:
        raise Invalid("The data: URL has no comma; it is data:<media type>;base64,<data>.")
    head = url[5:comma].strip()
    base64 = _BASE64_HEAD.fullmatch(head)
    media_type = base64.group(1) if base64 else head
    if media_type.startswith(";"):
        media_type = "text/plain" + media_type
    if media_type.partition(";")[0].strip().lower() in _NO_MEDIA_TYPE:
        media_type = UNKNOWN_MEDIA_TYPE
    return media_type or DEFAULT_MEDIA_TYPE, base64 is not None, url[comma + 1 :]


def decode(url: str, max_bytes: int) -> Fetched:
    """Raises Invalid for a malformed URL and for content larger than `max_bytes`. White space and missing
    padding in base64 are accepted, as in browsers."""
    media_type, base64, rest = split(url)
    # A byte takes at most three characters (%XX); in base64 four characters make three bytes.
    if len(rest) > 4 * max_bytes + 4096:
        raise _too_large(max_bytes)
    body = _percent_decoded(rest)
    if base64:
        body = decode_base64(_padded(body.translate(None, _SPACE)))
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return Fetched(body, media_type, "data:")


def decode_base64(text: str | bytes) -> bytes:
    """Decodes strict base64 (RFC 4648, standard alphabet, padded). Raises Invalid."""
    if len(text) % 4:
        raise Invalid("The data is not base64: its length is not a multiple of 4.")
    pieces = []
    for start in range(0, len(text), SLICE_CHARACTERS):
        piece = text[start : start + SLICE_CHARACTERS]
        try:
            pieces.append(binascii.a2b_base64(piece, strict_mode=True))
        except (binascii.Error, ValueError) as error:
            raise Invalid(f"The data is not base64: {error}, at or after character {start}.") from None
        if start + SLICE_CHARACTERS < len(text) and piece[-1:] in ("=", b"="):
            raise Invalid(f"The data is not base64: it ends at character {start + SLICE_CHARACTERS}.")
    return b"".join(pieces)


def _percent_decoded(rest: str) -> bytes:
    if "%" not in rest:
        return rest.encode("utf-8", "replace")
    # Also in slices, because an object is created for each escape.
    pieces = []
    start = 0
    while start < len(rest):
        end = start + SLICE_CHARACTERS
        escape = rest.rfind("%", end - 2, end)
        end = escape if escape > start else end
        pieces.append(unquote_to_bytes(rest[start:end].encode("utf-8", "replace")))
        start = end
    return b"".join(pieces)


def _padded(body: bytes) -> bytes:
    return body + b"=" * (-len(body) % 4)


def _too_large(max_bytes: int) -> Invalid:
    return Invalid(f"The data: URL holds more than {max_bytes} bytes.")
