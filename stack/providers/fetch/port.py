"""The protocol of a fetcher, and what a fetch gives."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Fetched(Struct, frozen=True):
    """The body behind a URL. `media_type` is the Content-Type with its parameters, empty where none was
    said; `url` is where the redirects ended."""

    body: bytes
    media_type: str
    url: str


class Fetcher(Protocol):
    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float, accept: str = "*/*") -> Fetched:
        """GETs an `https:` URL. `accept` is sent as it is and not enforced: servers name types loosely.

        Raises Invalid (400) for what the caller has to change: a URL that is none or leads where none may, an
        answer that is no success or larger than `max_bytes`; UpstreamFailed and UpstreamTimeout for what is
        the remote's fault. Messages name the URL without its query.
        """
        ...
