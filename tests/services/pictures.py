"""Small real images, and one of any size."""

from __future__ import annotations

import base64
import struct
import zlib

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(16) + b"\xff\xd9"
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00/\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"


def png(shade: int = 0, bytes_at_least: int = 0) -> bytes:
    """A grey PNG of one pixel; a chunk of private data makes it as large as wanted."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    filling = chunk(b"fiLl", bytes(bytes_at_least)) if bytes_at_least else b""
    pixel = zlib.compress(bytes((0, shade)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + filling + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    )


def base64_of(image: bytes) -> str:
    return base64.b64encode(image).decode()


def data_url(image: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64_of(image)}"
