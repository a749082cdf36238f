"""The page: its built files, below `/ui/`. They hold no data, so they need no key.

`stack/page` has the sources. All addresses below `/ui/` that are not files show the same document, which reads its own
address.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib.resources import files
from typing import Any

from litestar import Controller, Request, get
from litestar.response.base import ASGIResponse
from msgspec import Struct

from stack.errors import NotFound
from stack.http.openapi import takes_gzip

BELOW = "/ui/"
DOCUMENT = "index.html"
TYPES = {
    DOCUMENT: "text/html",
    "main.js": "text/javascript",
    "style.css": "text/css",
}
# Nothing but this server's own files and data; text never becomes HTML or script.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "vary": "accept-encoding",
    # The names of the files are fixed: each use asks whether they have changed.
    "cache-control": "no-cache",
}


class PageFile(Struct, frozen=True):
    """A file as it is and with gzip. `tag` is its entity tag."""

    media_type: str
    body: bytes
    packed: bytes
    tag: str


def is_of_page(path: str) -> bool:
    """Returns whether the query of a path is the page's own."""
    return path in ("/", "/ui") or path.startswith(BELOW)


class PageController(Controller):
    @get("/")
    async def root(self, request: Request[Any, Any, Any]) -> ASGIResponse:
        if "text/html" not in request.headers.get("accept", ""):
            raise NotFound(
                "There is nothing at /. A browser is shown the page, /ui/; the API is described at /schema."
            )
        return ASGIResponse(status_code=303, headers={"location": BELOW, "vary": "accept"})

    @get(["/ui", "/ui/{address:path}"])
    async def file(self, request: Request[Any, Any, Any], address: str = "") -> ASGIResponse:
        name = address.lstrip("/")
        found = page_file(name if name in TYPES else DOCUMENT)
        headers = HEADERS | {"etag": found.tag}
        if request.headers.get("if-none-match") == found.tag:
            return ASGIResponse(status_code=304, headers=headers)
        if takes_gzip(request.headers.get("accept-encoding", "")):
            headers["content-encoding"] = "gzip"
            return ASGIResponse(body=found.packed, media_type=found.media_type, headers=headers)
        return ASGIResponse(body=found.body, media_type=found.media_type, headers=headers)


@functools.cache
def page_file(name: str) -> PageFile:
    """Returns a built file, read once."""
    body = (files("stack") / "page" / "built" / name).read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:32]
    return PageFile(TYPES[name], body, gzip.compress(body, mtime=0), f'W/"{digest}"')
