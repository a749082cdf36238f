"""The protocol of a fetcher, and its result."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Fetched(Struct, frozen=True):
    """The content of a URL. `media_type` is the Content-Type without its parameters, empty if missing; `url`
    is the URL after redirects."""

    body: bytes
    media_type: str
    url: str


class Fetcher(Protocol):
    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float, accept: str = "*/*") -> Fetched:
        """Sends a GET to an `https:` URL. `accept` is sent unchanged and not enforced, because servers label
        types loosely.

        Raises Invalid (400) for errors of the caller: an invalid or forbidden URL, an unsuccessful response,
        or one larger than `max_bytes`; UpstreamFailed and UpstreamTimeout for failures of the server.
        Messages contain the URL without its query.
        """
        ...
