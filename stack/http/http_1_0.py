"""Responses to HTTP/1.0 clients, and to proxies that use it, such as nginx by default: never chunked.

HTTP/1.0 has no chunked transfer coding (RFC 9112, section 7), so a response of unknown length ends with its
connection. uvicorn closes the connections of such clients, but still sends chunks.
"""

from __future__ import annotations

from typing import Any


class _AnyLength(int):
    """The length of a body of unknown length: uvicorn compares it with the number of sent bytes."""

    def __lt__(self, other: int) -> bool:
        return False

    def __sub__(self, other: int) -> _AnyLength:
        return self

    def __ne__(self, other: object) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


def send_unchunked(cycle: Any) -> None:
    """Makes uvicorn's `cycle` send its response without chunks, whatever its length."""
    cycle.chunked_encoding = False
    cycle.expected_content_length = _AnyLength()
