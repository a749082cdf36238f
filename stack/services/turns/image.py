"""Images for models: data URLs of the four types that models support, never a remote URL."""

from __future__ import annotations

import binascii
from collections.abc import Mapping

from schemas.events.payload import ImageSource
from schemas.events.turn import FetchedContent
from stack.errors import Invalid
from stack.eventstore import is_damaged_text
from stack.providers.fetch import data_url

MAX_IMAGE_BYTES = 20 * 2**20
TYPES = "PNG, JPEG, GIF or WebP"
_HEAD_BYTES = 12


def image_type(body: bytes) -> str:
    """Returns the media type detected from the content; empty if it is none of the four."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return "image/webp"
    return ""


def check_type(body: bytes) -> str:
    """Raises Invalid for content that is not a supported image."""
    found = image_type(body)
    if not found:
        what = "is empty" if not body else f"begins with {body[:_HEAD_BYTES]!r}"
        raise Invalid(f"The content is not a {TYPES} image: it {what}.")
    return found


def check_inline(source: ImageSource) -> None:
    """Checks an image in the request: its `data`, or a `data:` URL. Takes as long as decoding. Raises
    Invalid."""
    if source.data is None:
        assert source.url is not None
        check_type(data_url.decode(source.url.uri, MAX_IMAGE_BYTES).body)
        return
    if data_url.is_data_url(source.data):
        raise Invalid('The data is a data: URL; give it as {"url": {"uri": "data:..."}}, or base64 alone.')
    if len(source.data) > -(-MAX_IMAGE_BYTES // 3) * 4:
        raise Invalid(f"The image is larger than {MAX_IMAGE_BYTES} bytes.")
    check_type(data_url.decode_base64(source.data))


def model_url(source: ImageSource, fetched: Mapping[str, FetchedContent]) -> str:
    """Returns the `data:` URL of a checked image; empty if its content is not available."""
    if source.data is not None:
        return _of_base64(source.data)
    if source.url is None:
        return ""
    if data_url.is_data_url(source.url.uri):
        return _of_data_url(source.url.uri)
    found = fetched.get(source.url.uri)
    if found and is_damaged_text(found.data):
        return ""
    return f"data:{found.media_type};base64,{found.data}" if found else ""


def _of_base64(text: str) -> str:
    try:
        head = binascii.a2b_base64(text[: _HEAD_BYTES * 4 // 3])
    except ValueError:
        return ""
    found = image_type(head)
    return f"data:{found};base64,{text}" if found else ""


def _of_data_url(url: str) -> str:
    """Plain base64 is passed on unchanged, with its detected type; any other form is encoded again."""
    try:
        _, base64, rest = data_url.split(url)
        if base64 and len(rest) % 4 == 0 and not any(sign in rest for sign in "% \t\r\n\f"):
            return _of_base64(rest)
        body = data_url.decode(url, MAX_IMAGE_BYTES).body
    except Invalid:
        return ""
    return _of_base64(binascii.b2a_base64(body, newline=False).decode())
