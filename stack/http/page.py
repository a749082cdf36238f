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

from stack.errors import NotFound
from stack.http.static_file import POLICY, StaticFile, file_answer

BELOW = "/ui/"
DOCUMENT = "index.html"
TYPES = {
    DOCUMENT: "text/html",
    "main.js": "text/javascript",
    "style.css": "text/css",
}
HEADERS = {
    # Text never becomes HTML or script.
    "content-security-policy": f"{POLICY}; require-trusted-types-for 'script'; trusted-types 'none'",
    "cross-origin-opener-policy": "same-origin",
    # The names of the files are fixed: each use asks whether they have changed.
    "cache-control": "no-cache",
}


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
        file, tag = page_file(name if name in TYPES else DOCUMENT)
        return file_answer(file, request.headers, {**HEADERS, "etag": tag})


@functools.cache
def page_file(name: str) -> tuple[StaticFile, str]:
    """Returns a built file, read once, and its entity tag."""
    body = (files("stack") / "page" / "built" / name).read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:32]
    return StaticFile(TYPES[name], body, gzip.compress(body, mtime=0)), f'W/"{digest}"'
