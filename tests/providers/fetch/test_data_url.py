"""`data:` URLs."""

from __future__ import annotations

import base64
import random

import pytest

from stack.errors import Invalid
from stack.providers.fetch.data_url import SLICE_CHARACTERS, decode, decode_base64


@pytest.mark.parametrize(
    ("url", "media_type", "body"),
    [
        ("data:,hello%20world", "text/plain;charset=US-ASCII", b"hello world"),
        ("data:text/plain;charset=utf-8,h%C3%A9", "text/plain;charset=utf-8", "hé".encode()),
        ("data:text/plain,hé", "text/plain", "hé".encode()),
        ("DATA:image/png;BASE64,aGk=", "image/png", b"hi"),
        ("data:image/png;base64,aGk", "image/png", b"hi"),
        ("data:image/png;base64,aG\nk%3D", "image/png", b"hi"),
        ("data:;base64,aGk=", "text/plain;charset=US-ASCII", b"hi"),
        ("data:None;base64,aGk=", "application/octet-stream", b"hi"),
        ("data:none;charset=utf-8;base64,aGk=", "application/octet-stream", b"hi"),
        ("data:undefined,hi", "application/octet-stream", b"hi"),
        ("data:null;base64,aGk=", "application/octet-stream", b"hi"),
        ("data:;charset=latin-1,%E9", "text/plain;charset=latin-1", b"\xe9"),
        ("data:text/plain,100%", "text/plain", b"100%"),
        ("data:text/plain,", "text/plain", b""),
    ],
)
def test_decode(url: str, media_type: str, body: bytes) -> None:
    fetched = decode(url, 100)
    assert (fetched.media_type, fetched.body) == (media_type, body)


def test_long_data_is_decoded_in_slices_and_stays_whole() -> None:
    content = random.Random(5).randbytes(SLICE_CHARACTERS * 2 + 1)
    assert decode("data:x/y;base64," + base64.b64encode(content).decode(), len(content)).body == content
    escaped = "".join(f"%{byte:02x}" for byte in content)
    assert decode("data:x/y," + escaped, len(content)).body == content


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,%%%%",
        "data:x;base64,aGk=aGk=",
        "data:x;base64,a",
    ],
)
def test_what_is_no_data_url_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match=r"base64|comma"):
        decode(url, 100)


def test_content_above_the_limit_is_refused() -> None:
    with pytest.raises(Invalid, match="more than 10 bytes"):
        decode("data:text/plain," + "a" * 11, 10)
    with pytest.raises(Invalid, match="more than 10 bytes"):
        decode("data:text/plain;base64," + "A" * 10_000, 10)


@pytest.mark.parametrize(
    "text", ["aGk", "aGk=\n", "a-_=", "aGk=aGk=", "====", "aGk=" + "A" * SLICE_CHARACTERS]
)
def test_strict_base64(text: str) -> None:
    with pytest.raises(Invalid, match="not base64"):
        decode_base64(text)


def test_padding_at_the_end_of_a_slice_is_no_end_of_the_data() -> None:
    with pytest.raises(Invalid, match="not base64"):
        decode_base64("A" * (SLICE_CHARACTERS - 1) + "=" + "AAAA")
