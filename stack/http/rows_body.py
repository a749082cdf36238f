"""Reads request bodies that hold rows: the rows as blocks of text, and what is around them as a type."""

from __future__ import annotations

from typing import Any, TypeVar

from litestar import Request

from stack.http.body import body_of, decoded
from stack.http.services import Services
from stack.services.row_chunks import Blocks

T = TypeVar("T")


async def read_rows(
    request: Request[Any, Any, Any], services: Services, type: type[T], path: tuple[str, ...]
) -> tuple[T, Blocks, bytes]:
    """The body without the rows at `path`, those rows, and the bytes of it all. Raises UnsupportedMediaType,
    Invalid."""
    body = await body_of(request)
    split = await services.row_reader.split(body, path)
    return await decoded(split.envelope, type), split.blocks, body
