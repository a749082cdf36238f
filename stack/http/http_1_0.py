"""Answers to HTTP/1.0 clients, and proxies that speak it, as nginx does unless told otherwise: never chunked.

HTTP/1.0 has no chunked transfer coding (RFC 9112, section 7), so an answer of unknown length ends with its
connection. uvicorn closes the connections of such clients, but sends them chunks all the same.
"""

from __future__ import annotations

from typing import Any


class _AnyLength(int):
    """Stands for the length of a body that may have any: uvicorn compares it with what is sent."""

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
    """Makes uvicorn's `cycle` send its answer without chunks, whatever its length."""
    cycle.chunked_encoding = False
    cycle.expected_content_length = _AnyLength()
