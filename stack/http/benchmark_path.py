"""Allows slashes in ids of benchmarks: they are escaped in the path of a request before it is routed.

Litestar accepts a parameter with slashes only at the end of a path, but a benchmark's jobs follow its id.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from litestar.types import ASGIApp, Receive, Send

from stack.domain.benchmark_path import split_path
from stack.http.path import SERVICES, with_one_part

PREFIXES = ("/v1alpha/eval/benchmarks/", "/v1/eval/benchmarks/")


def escaping_ids(app: ASGIApp) -> ASGIApp:
    """Wraps `app` so that the id of each benchmark, and the name of each service, is one part of the path."""

    async def escaped(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIXES):
            scope["path"] = _escaped(scope["path"])
        elif scope["type"] == "http" and scope["path"].startswith(SERVICES):
            scope["path"] = with_one_part(scope["path"])
        await app(scope, receive, send)

    return escaped


def id_in(part: str) -> str:
    """Returns the id that a part of the path encodes."""
    return unquote(part)


def _escaped(path: str) -> str:
    prefix = next(one for one in PREFIXES if path.startswith(one))
    benchmark_id, below = split_path(path.removeprefix(prefix).removesuffix("/"))
    # Ids without a slash are escaped too, because they may look like escaped ones.
    return f"{prefix}{quote(benchmark_id, safe='')}{'/' if below else ''}{below}"
