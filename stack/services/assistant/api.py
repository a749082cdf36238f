"""The port through which the tools call the API of a server: from the same process, or over HTTP."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct


class Call(Struct, frozen=True, kw_only=True):
    """A request. `path` is not escaped; `body` is sent as JSON, None as no body."""

    method: str = "GET"
    path: str
    query: Mapping[str, str] = {}
    body: Any = None


def body_of(call: Call) -> bytes:
    """Returns the body as JSON. Unlike msgspec, `json` writes integers of any size, and halves of surrogate pairs, which the
    server then refuses with its own text."""
    return b"" if call.body is None else json.dumps(call.body).encode()


class Answered(Struct, frozen=True):
    """The decoded JSON of an answer. `has_more` is whether the server left something out."""

    content: Any
    has_more: bool = False


class Refused(Exception):
    """The API did not answer the call; the message is its reason, for the assistant."""


Api = Callable[[Call], Awaitable[Answered]]
"""Calls the API. Raises Refused."""


def answered(status: int, headers: Mapping[str, str], content: bytes) -> Answered:
    """Returns a response as an answer. `headers` have names in lower case. Raises Refused."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(
            f"The server answered {status} with something else than JSON: is this the address of Replaystack?"
        ) from None
    if status != 200:
        detail = found.get("detail") if isinstance(found, dict) else None
        raise Refused(detail if isinstance(detail, str) else f"The server answered {status}.")
    return Answered(found, "x-truncated" in headers)
