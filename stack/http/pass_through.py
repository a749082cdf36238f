"""Sends the answers of model servers to clients as they arrive."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from stack.errors import ReplaystackError
from stack.http.body import body_of
from stack.http.error import openai_error_body
from stack.http.event_stream import UNBUFFERED
from stack.http.leaving import ClientLeft, until_disconnected
from stack.http.services import Services
from stack.services.inference.pass_through import Endpoint, PassedAnswer

SLICE_BYTES = 256 * 1024
"""Large responses are sent in parts of this size, no faster than the client reads them."""
_NO_DONE = "LlamaStackClient/"
"""Part of the user agent of clients that fail on `[DONE]`: all versions of llama-stack-client."""
# The caller's key is for this server; the provider is sent the configured key.
_HANDED_ON = ("idempotency-key", "openai-beta", "x-client-request-id")


async def passed_through(endpoint: Endpoint, request: Request[Any, Any, Any], services: Services) -> ASGIApp:
    """Returns the model server's answer to a request, as an application that sends it."""
    body = await body_of(request)
    services.rates.require_tokens()
    handed_on = {name: value for name in _HANDED_ON if (value := request.headers.get(name))}
    without_done = _NO_DONE in request.headers.get("user-agent", "")
    return _Passing(services.pass_through.passed(endpoint, body, handed_on, without_done))


class _Passing:
    """Forwards a response as it arrives; the request to the model server is cancelled if the client
    disconnects."""

    def __init__(self, passed: AbstractAsyncContextManager[PassedAnswer]) -> None:
        self._passed = passed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientLeft):
            await until_disconnected(self._pass(send), receive)
            await _send(send, b"", more=False)

    async def _pass(self, send: Send) -> None:
        async with self._passed as answer:
            if not answer.streamed:
                body = b"".join([piece async for piece in answer.pieces])
                await _begin(send, answer.status, {**answer.headers, "content-length": str(len(body))})
                for start in range(0, len(body), SLICE_BYTES):
                    await _send(send, body[start : start + SLICE_BYTES])
                return
            # Before the first event, a failure can still be reported with its own status.
            first = await anext(answer.pieces, b"")
            await _begin(send, answer.status, {**answer.headers, **UNBUFFERED})
            try:
                await _send(send, first)
                async for piece in answer.pieces:
                    await _send(send, piece)
            except ReplaystackError as error:
                await _send(send, b"data: " + openai_error_body(error) + b"\n\n")


async def _begin(send: Send, status: int, headers: Mapping[str, str]) -> None:
    named = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": named})


async def _send(send: Send, body: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
