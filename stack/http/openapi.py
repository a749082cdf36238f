"""The OpenAPI document as JSON and YAML, and a page that displays it.

The page needs no other host: its script and style are included in the package, compressed.
"""

from __future__ import annotations

import functools
import gzip
from importlib.resources import files
from typing import Any

from litestar import Controller, Request, get
from litestar.response.base import ASGIResponse

from stack.errors import NotFound
from stack.http.spec import document
from stack.http.static_file import StaticFile, file_answer

PAGE = "page.html"
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "page.js", "page.css")


class OpenAPIController(Controller):
    path = "/schema"

    @get()
    async def page(self, request: Request[Any, Any, Any]) -> ASGIResponse:
        return file_answer(asset(PAGE), request.headers, {"cache-control": "no-cache"})

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
        return file_answer(asset(name), request.headers, {"cache-control": "max-age=3600"})


@functools.cache
def asset(name: str) -> StaticFile:
    """Returns a file of the package, read once. Third-party files are kept compressed, as they were
    published."""
    folder = files("stack.http") / "ui"
    media_type = TYPES[name.rpartition(".")[2]]
    packed = folder / f"{name}.gz"
    if packed.is_file():
        body = packed.read_bytes()
        return StaticFile(media_type, gzip.decompress(body), body)
    return StaticFile(media_type, (folder / name).read_bytes(), b"")
