"""SQL over the documented views, over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import msgspec
from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from schemas.api.sql import SqlRequest
from stack.errors import Invalid
from stack.http.accept import accepted
from stack.http.answer import TRUNCATED_HEADER, json_answer
from stack.http.as_of import POSITION
from stack.http.body import read_json
from stack.http.endpoint import serves
from stack.http.leaving import ClientLeft, until_disconnected
from stack.http.services import Services
from stack.providers.sql.tasks import Format
from stack.services.sql.prompt import prompt
from stack.services.sql.sql import SqlService
from stack.services.sql.views import schema

logger = logging.getLogger("replaystack.http")

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


class SqlController(Controller):
    @serves("run_sql")
    async def run(self, request: Request[Any, Any, Any], services: Services) -> ASGIApp:
        wanted, _ = await read_json(request, SqlRequest)
        form: Format = (
            accepted(request.headers.get("accept", ""), MEDIA_TYPES)
            if wanted.format is None
            else wanted.format
        )
        return _Result(services.sql, msgspec.structs.replace(wanted, format=form), form)

    @serves("get_sql_schema")
    async def get_schema(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        form = request.query_params.get("format", "json")
        # Read from files at first.
        described = await asyncio.to_thread(schema)
        if form == "json":
            return json_answer(described)
        if form == "prompt":
            text = prompt(described)
            return ASGIResponse(body=text.encode(), media_type="text/plain; charset=utf-8")
        raise Invalid(f"format is {form[:40]!r}; it must be json or prompt.")


class _Result:
    """Sends a result as fast as the client reads it. The query is ended if the client disconnects, or takes longer than
    a query may."""

    def __init__(self, service: SqlService, request: SqlRequest, form: Format) -> None:
        self._service = service
        self._request = request
        self._media_type = MEDIA_TYPES[form] + ("; charset=utf-8" if form == "csv" else "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientLeft):
            if await until_disconnected(self._sent(scope, send), receive):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _sent(self, scope: Scope, send: Send) -> bool:
        """Returns whether the whole result was sent."""
        async with self._service.answered(self._request) as answer:
            headers = [(b"content-type", self._media_type.encode()), (b"vary", b"accept")]
            if answer.position is not None:
                scope["state"][POSITION] = answer.position
            if answer.limit:
                headers.append((TRUNCATED_HEADER.encode(), answer.limit.encode()))
            try:
                async with asyncio.timeout(self._service.limits.timeout_s):
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    async for piece in answer.pieces:
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                # The connection is closed without the end of the body, so that the client does not take a part for all.
                logger.warning("a result of SQL is not read by its client; it is ended")
                return False
        return True
