"""An MCP server for assistants, at `/mcp` (streamable HTTP). Its tools call the API of this server, as the caller."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from litestar import Controller, Request, post
from litestar.types import ASGIApp, Receive, Scope, Send

from stack.http.leaving import ClientLeft, until_disconnected
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.services.assistant.api import Answered, Api, Call, Refused, answered, body_of

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

MAX_BODY_BYTES = 2**20
_STATE = ("actor", "trace_id", "traceparent", "tracestate")


class McpController(Controller):
    @post("/mcp", status_code=200)
    async def exchange(self, request: Request[Any, Any, Any]) -> ASGIApp:
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size <= MAX_BODY_BYTES:
                parts.append(part)
        # One byte too many lets the SDK refuse the body in its own form.
        body = b"".join(parts) if size <= MAX_BODY_BYTES else bytes(MAX_BODY_BYTES + 1)
        return _Exchange(await asyncio.to_thread(_server), body)


@functools.cache
def _server() -> Server[Any]:
    from stack.services.assistant.mcp_server import new_server

    return new_server(lambda context: _api(_scope_of(context)))


def _scope_of(context: Any) -> Any:
    return context.request.scope


class _Exchange:
    """One request and its answer. There are no sessions: nothing is kept between requests."""

    def __init__(self, server: Server[Any], body: bytes) -> None:
        self._server = server
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await until_disconnected(self._answer(scope, send), receive)
        except ClientLeft:
            return

    async def _answer(self, scope: Scope, send: Send) -> None:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        # `Host` and `Origin` were checked at the edge, for all requests.
        manager = StreamableHTTPSessionManager(
            self._server, stateless=True, json_response=True, max_request_body_size=MAX_BODY_BYTES
        )
        async with manager.run():
            # The parser of HTTP leaves white space at the end of values, which the SDK compares.
            headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
            inner: Any = {**scope, "headers": headers}
            await manager.handle_request(inner, _receiving(self._body), send)  # type: ignore[arg-type]


def _api(outer: Any) -> Api:
    """Returns the API as the caller of a request may use it. Its requests do not pass the edge again, where the caller was
    admitted; paths below `/admin/` must not be called."""

    async def asked(call: Call) -> Answered:
        body = body_of(call)
        status, headers, parts = 0, {}, []

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers.update({name.decode().lower(): value.decode() for name, value in message["headers"]})
            else:
                parts.append(message.get("body", b""))

        await outer["app"](_scope(outer, call, body), _receiving(body), send)
        content = b"".join(parts)
        if not status:
            raise Refused("The server did not answer.")
        return await off_loop_if(len(content) > LARGE_JSON_BYTES, answered, status, headers, content)

    return asked


def _scope(outer: Any, call: Call, body: bytes) -> dict[str, Any]:
    path = quote(call.path)
    return {
        "type": "http",
        "asgi": outer["asgi"],
        "http_version": "1.1",
        "method": call.method,
        "scheme": outer["scheme"],
        "path": call.path,
        "raw_path": path.encode(),
        "query_string": urlencode(call.query).encode(),
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ],
        "client": outer.get("client"),
        "server": outer.get("server"),
        "state": {name: outer["state"][name] for name in _STATE},
    }


def _receiving(body: bytes) -> Receive:
    """Returns what receives this body, and no disconnect."""
    left = [body]

    async def receive() -> Any:
        if not left:
            await asyncio.get_running_loop().create_future()
        return {"type": "http.request", "body": left.pop(), "more_body": False}

    return receive
