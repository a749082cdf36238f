"""Responses with a JSON body or without a body."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar.response.base import ASGIResponse

_encode = msgspec.json.Encoder().encode

TRUNCATED_HEADER = "x-truncated"
"""`true` where more follows than was returned and the body cannot say so."""


def json_answer(value: Any, headers: dict[str, str] | None = None) -> ASGIResponse:
    return ASGIResponse(body=_encode(value), media_type="application/json", headers=headers)


def empty_answer() -> ASGIResponse:
    """Returns 200 without a body: the contract's response to operations without a result."""
    return ASGIResponse(body=b"", media_type="application/json", headers={"content-length": "0"})
