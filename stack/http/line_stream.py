"""Responses of JSON lines that are made while they are sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec
from litestar.types import Receive, Scope, Send

from stack.errors import ReplaystackError
from stack.http.leaving import disconnected

logger = logging.getLogger("replaystack.http")

LINES = "application/jsonl"


class LineStream:
    """Sends the pieces, each of whole lines, as fast as the client reads. A failure becomes a last line
    `{"line": "error", "detail": ...}`, because the status was sent before."""

    def __init__(self, pieces: AsyncIterator[bytes], filename: str) -> None:
        self._pieces = pieces
        self._filename = filename

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", LINES.encode()),
            (b"content-disposition", f'attachment; filename="{self._filename}"'.encode("ascii", "replace")),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            async for piece in self._pieces:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except ReplaystackError as error:
            logger.warning("an export ended early: %s", error.detail)
            line = msgspec.json.encode({"line": "error", "detail": error.detail}) + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
