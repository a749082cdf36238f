"""Reads request bodies that contain rows: the rows as blocks of text, and the rest as a type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from litestar import Request

from stack.http.body import body_of, decoded
from stack.http.leaving import until_disconnected
from stack.http.services import Services
from stack.services.datasets.row_chunks import Blocks

T = TypeVar("T")


async def read_rows(
    request: Request[Any, Any, Any],
    services: Services,
    type: type[T],
    path: tuple[str, ...],
    completed: Callable[[bytes], bytes] | None = None,
) -> tuple[T, Blocks, bytes]:
    """Returns the body without the rows at `path`, those rows, and the bytes of the whole body. `completed`
    converts the former to the form of `type`. Raises UnsupportedMediaType, Invalid, ClientLeft."""
    body = await body_of(request)
    split = await until_disconnected(services.row_reader.split(body, path), request.receive)
    envelope = completed(split.envelope) if completed is not None else split.envelope
    return await decoded(envelope, type), split.blocks, body
