"""Reads rows: out of request bodies, and from URIs."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
from msgspec import Raw

from stack.errors import Invalid, NotOffered
from stack.providers.rows.port import RowBlock, SplitBody


class RowReader:
    async def read(self, uri: str) -> AsyncGenerator[RowBlock, None]:
        raise NotOffered("URIs are not read yet.")
        yield

    async def split(self, body: bytes, path: tuple[str, ...]) -> SplitBody:
        try:
            document = msgspec.json.decode(body, type=dict[str, Raw])
            inner = document
            for name in path[:-1]:
                inner = msgspec.json.decode(inner[name], type=dict[str, Raw])
            rows = msgspec.json.decode(msgspec.json.format(inner[path[-1]], indent=-1), type=list[Raw])
            bytes(body).decode()
        except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
            return SplitBody(body, [])
        for i, row in enumerate(rows):
            if bytes(row)[:1] != b"{":
                raise Invalid(f"rows[{i}] is no object.")
        inner[path[-1]] = Raw(b"[]")
        if len(path) == 2:
            document[path[0]] = Raw(msgspec.json.encode(inner))
        lines = b"\n".join([bytes(row) for row in rows])
        return SplitBody(msgspec.json.encode(document), [RowBlock(len(rows), lines)] if rows else [])

    async def aclose(self) -> None:
        return None
