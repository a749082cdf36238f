"""Lets ids of benchmarks hold slashes: in the path of a request they are escaped before it is routed.

Litestar takes a parameter with slashes at the end of a path only, and a benchmark's jobs lie behind its id.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from litestar.types import ASGIApp, Receive, Send

from stack.domain.benchmark_path import split_path

PREFIXES = ("/v1alpha/eval/benchmarks/", "/v1/eval/benchmarks/")


def escaping_benchmark_ids(app: ASGIApp) -> ASGIApp:
    """`app`, to which each benchmark's id is one part of the path."""

    async def escaped(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIXES):
            scope["path"] = _escaped(scope["path"])
        await app(scope, receive, send)

    return escaped


def id_in(part: str) -> str:
    """The id that a part of the path stands for."""
    return unquote(part)


def _escaped(path: str) -> str:
    prefix = next(one for one in PREFIXES if path.startswith(one))
    benchmark_id, below = split_path(path.removeprefix(prefix).removesuffix("/"))
    # Also where it holds no slash: it may hold what an escaped one looks like.
    return f"{prefix}{quote(benchmark_id, safe='')}{'/' if below else ''}{below}"
