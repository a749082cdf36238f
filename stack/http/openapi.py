"""The OpenAPI document as JSON and YAML, and a page that displays it.

The page needs no other host: its script and style are included in the package, compressed.
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from litestar import Controller, Request, get
from litestar.response.base import ASGIResponse
from msgspec import Struct

from stack.errors import NotFound
from stack.http.spec import document

PAGE = "page.html"
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "page.js", "page.css")

# The page may load from and connect to this server only, and must not be framed. Its script sets inline
# styles.
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
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Asset(Struct, frozen=True):
    """A file of the page. `packed` is sent to clients that accept gzip; it is empty if compression saves
    nothing."""

    media_type: str
    body: bytes
    packed: bytes


class OpenAPIController(Controller):
    path = "/schema"

    @get()
    async def page(self, request: Request[Any, Any, Any]) -> ASGIResponse:
        return _sent(asset(PAGE), request.headers, "no-cache")

    @get("/openapi.json")
    async def as_json(self) -> ASGIResponse:
        return ASGIResponse(body=document.as_json(), media_type="application/json")

    @get("/openapi.yaml")
    async def as_yaml(self) -> ASGIResponse:
        return ASGIResponse(body=document.as_yaml(), media_type="application/yaml")

    @get("/ui/{name:str}")
    async def asset(self, request: Request[Any, Any, Any], name: str) -> ASGIResponse:
        if name not in ASSETS:
            raise NotFound(f"There is no file {name[:100]!r} here; the page is at {self.path}.")
        return _sent(asset(name), request.headers, "max-age=3600")


@functools.cache
def asset(name: str) -> Asset:
    """Returns a file of the package, read once. Third-party files are kept compressed, as they were
    published."""
    folder = files("stack.http") / "ui"
    media_type = TYPES[name.rpartition(".")[2]]
    packed = folder / f"{name}.gz"
    if packed.is_file():
        body = packed.read_bytes()
        return Asset(media_type, gzip.decompress(body), body)
    return Asset(media_type, (folder / name).read_bytes(), b"")


def _sent(asset: Asset, headers: Mapping[str, str], caching: str) -> ASGIResponse:
    sent = HEADERS | {"cache-control": caching}
    body = asset.body
    if asset.packed:
        sent["vary"] = "accept-encoding"
        if takes_gzip(headers.get("accept-encoding", "")):
            sent["content-encoding"] = "gzip"
            body = asset.packed
    return ASGIResponse(body=body, media_type=asset.media_type, headers=sent)


def takes_gzip(accepted: str) -> bool:
    """Returns whether an `Accept-Encoding` header accepts gzip (RFC 9110, section 12.5.3)."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
