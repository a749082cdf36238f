"""Rows of datasets over HTTP: reading and appending."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import msgspec
from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from schemas.api.datasetio import AppendRowsRequest
from stack.errors import RowsDamaged
from stack.http.answer import empty_answer
from stack.http.as_of import as_of_in
from stack.http.body import caller_of, integer_of, page_of, path_of, post_of
from stack.http.endpoint import serves
from stack.http.leaving import until_disconnected
from stack.http.path import id_of
from stack.http.rows_body import read_rows
from stack.http.services import Services

WHOLE_BYTES = 2**20
"""Maximum size in bytes of a response that is sent whole; longer ones are streamed while their rows are
read."""


class DatasetIOController(Controller):
    @serves("append_rows")
    async def append_rows(
        self, request: Request[Any, Any, Any], dataset_id: str, services: Services
    ) -> ASGIResponse:
        _, blocks, body = await read_rows(request, services, AppendRowsRequest, ("rows",))
        append = partial(services.datasets.append, id_of(dataset_id), blocks, caller_of(request))
        await until_disconnected(services.once.perform(post_of(request, body), append), request.receive)
        return empty_answer()

    @serves("iterate_rows")
    async def iterrows(self, request: Request[Any, Any, Any], dataset_id: str, services: Services) -> ASGIApp:
        name = id_of(dataset_id)
        start, limit = page_of(request)
        asked = integer_of(request, "version", -1)
        as_of = await as_of_in(request, services)
        version, count = await services.datasets.version(name, None if asked < 0 else asked, as_of)
        stop = count if limit is None else min(count, start + limit)
        pieces = services.datasets.pieces(name, version, start, stop, services.settings.max_page_bytes)
        answer = RowsAnswer(pieces, start, path_of(request), version, count)
        await answer.begin()
        return answer


class RowsAnswer:
    """A page of rows: sent whole up to 1 MiB, otherwise streamed while the rows are read."""

    def __init__(
        self,
        pieces: AsyncGenerator[Sequence[bytes], None],
        start: int,
        url: str,
        version: int,
        count: int,
    ) -> None:
        self._pieces = pieces
        self._next = start
        self._url = msgspec.json.encode(url)
        self._version = version
        self._count = count
        self._body = b""
        self._whole = False

    async def begin(self) -> None:
        """Reads the first rows, so that an error is still reported with its own status. Raises the errors of
        reading."""
        texts: list[bytes] = []
        size = 0
        try:
            async for piece in self._pieces:
                texts.extend(piece)
                self._next += len(piece)
                size += sum(map(len, piece))
                if size > WHOLE_BYTES:
                    break
            else:
                self._whole = True
        except RowsDamaged:
            # The page ends before the rows that failed, and the next page starts with the error.
            if not texts:
                raise
            self._whole = True
        except BaseException:
            await self._pieces.aclose()
            raise
        self._body = b'{"data":[' + b",".join(texts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"x-dataset-version", b"%d" % self._version),
            (b"x-dataset-rows", b"%d" % self._count),
        ]
        if self._whole:
            self._body += self._end()
            headers.append((b"content-length", b"%d" % len(self._body)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with aclosing(self._pieces):
            if not self._whole:
                await send({"type": "http.response.body", "body": self._body, "more_body": True})
                with suppress(RowsDamaged):
                    async for piece in self._pieces:
                        self._next += len(piece)
                        texts = b"," + b",".join(piece)
                        await send({"type": "http.response.body", "body": texts, "more_body": True})
                self._body = self._end()
            await send({"type": "http.response.body", "body": self._body, "more_body": False})

    def _end(self) -> bytes:
        more = b"true" if self._next < self._count else b"false"
        return b'],"has_more":%b,"url":%b}' % (more, self._url)
