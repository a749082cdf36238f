"""A transport of the HTTP client for plain HTTP/1.1 to model servers on the same machine or network.

The client's own transport takes about 70 us of CPU for each chunk of a stream (tasks, cancel scopes and a
parser in Python), which is most of the cost of a streamed answer. This one is an asyncio protocol based on
httptools: about 5 us. It supports `http://` origins without a proxy; TLS and proxies use the client's own
transport.

Imports the HTTP client, which takes 0.3 s: import this module only when a client is about to be created.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import httpx2

from stack.providers.inference.settings import is_loopback

MAX_HEADERS_BYTES = 64 * 1024
HIGH_WATER_BYTES = 256 * 1024
# For larger bodies, copying them after the head costs more than a second write: images have 20 MB and more.
LARGE_BODY_BYTES = 64 * 1024
IDLE_S = 30.0
"""How long idle connections are kept, in seconds; servers close theirs after 5 s (uvicorn) to minutes."""


def transport_for(base_url: str) -> PlainHTTP | None:
    """Returns this transport if it can be used. Returns None if the client's own is needed: for TLS,
    credentials in the URL, and a proxy of the environment, which is never used for loopback."""
    url = urlsplit(base_url)
    host = url.hostname or ""
    if url.scheme != "http" or url.username is not None:
        return None
    proxies = urllib.request.getproxies()
    proxied = ("http" in proxies or "all" in proxies) and not urllib.request.proxy_bypass(host)
    return None if proxied and not is_loopback(host) else PlainHTTP()


class PlainHTTP(httpx2.AsyncBaseTransport):
    """Keeps connections alive per origin. Timeouts are those of the request (`connect`, `read`), in seconds;
    `read` limits only the wait for the head of the response: the reader of the body measures time for it."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[_Connection]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises the client's ConnectError, ConnectTimeout, ReadTimeout, RemoteProtocolError."""
        timeouts = request.extensions.get("timeout") or {}
        origin = (request.url.host, request.url.port or 80)
        body = b"".join([part async for part in request.stream])  # type: ignore[union-attr]
        head = _head(request)
        connection = self._take(origin)
        reused = connection is not None
        while True:
            if connection is None:
                connection = await _connect(origin, timeouts.get("connect"))
            try:
                await connection.send(head, body, timeouts.get("read"))
                break
            except httpx2.RemoteProtocolError:
                # The server may just have closed a kept connection; it has not responded to anything on it.
                if not reused:
                    raise
                connection, reused = None, False
        return httpx2.Response(
            connection.status, headers=connection.headers, stream=_Body(self, origin, connection)
        )

    def _take(self, origin: tuple[str, int]) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        idle = self._idle.get(origin, [])
        while idle:
            connection = idle.pop()
            if connection.reusable and now - connection.idle_since < IDLE_S:
                return connection
            connection.abort()
        return None

    def keep(self, origin: tuple[str, int], connection: _Connection) -> None:
        """Keeps a connection whose response was read completely; closes any other."""
        if connection.reusable:
            connection.idle_since = now = asyncio.get_running_loop().time()
            idle = self._idle.setdefault(origin, [])
            while idle and now - idle[0].idle_since > IDLE_S:
                idle.pop(0).abort()
            idle.append(connection)
        else:
            connection.abort()

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        # The loop closes an aborted socket in its next iteration.
        await asyncio.sleep(0)

    async def __aenter__(self) -> PlainHTTP:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


def _head(request: httpx2.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s" % pair for pair in request.headers.raw]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def _connect(origin: tuple[str, int], timeout_s: float | None) -> _Connection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(_Connection, *origin)
    except TimeoutError:
        raise httpx2.ConnectTimeout(f"no connection within {timeout_s} s") from None
    except OSError as error:
        raise httpx2.ConnectError(str(error)) from None
    return connection


class _Body(httpx2.AsyncByteStream):
    """The body of one response. Closing it before its end closes the connection, which stops the model."""

    def __init__(self, transport: PlainHTTP, origin: tuple[str, int], connection: _Connection) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: _Connection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        connection = self._connection
        while connection is not None:
            if connection.pieces:
                yield connection.take()
            elif connection.complete:
                return
            elif connection.failure is not None:
                raise connection.failure
            else:
                await connection.changed()

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.keep(self._origin, connection)


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time. `pieces` holds received parts of the body that were not read
    yet."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.pieces: deque[bytes] = deque()
        self.idle_since = 0.0
        self.failure: httpx2.TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        self._begin()

    def _begin(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self._keep_alive = False
        self._headers_bytes = 0
        self._headed = False
        self._buffered = 0
        self._to_the_end = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def reusable(self) -> bool:
        return self.complete and self._keep_alive and not self.pieces and self.failure is None

    def abort(self) -> None:
        self.transport.abort()

    async def send(self, head: bytes, body: bytes, timeout_s: float | None) -> None:
        """Sends a request and waits for the head of its response. Closes the connection on failure."""
        self._begin()
        try:
            async with asyncio.timeout(timeout_s):
                if len(body) > LARGE_BODY_BYTES:
                    self.transport.write(head)
                    self.transport.write(body)
                else:
                    self.transport.write(head + body)
                if not self._writable.is_set():
                    await self._writable.wait()
                while not self._headed:
                    if self.failure is not None:
                        raise self.failure
                    await self.changed()
        except TimeoutError:
            self.abort()
            raise httpx2.ReadTimeout(f"no answer within {timeout_s} s") from None
        except BaseException:
            self.abort()
            raise

    async def changed(self) -> None:
        """Waits until data arrives, or the connection ends."""
        if self._paused and self._buffered < HIGH_WATER_BYTES:
            self._paused = False
            self.transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def take(self) -> bytes:
        """Returns all data of the body received so far, in one part."""
        pieces = self.pieces
        taken = pieces.popleft() if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._buffered = 0
        return taken

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, detail: str) -> None:
        if self.failure is None:
            self.failure = httpx2.RemoteProtocolError(detail)
        self._wake()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")
            self.abort()
            return
        if not self._headed:
            self._headers_bytes += len(data)
            if self._headers_bytes > MAX_HEADERS_BYTES:
                self._fail("the head of the answer is too long")
                self.abort()
                return
        if self._buffered > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        if self._headed and not self.complete and self._to_the_end:
            self.complete = True
            self._keep_alive = False
            self._wake()
            return
        self._fail("the server closed the connection" + (f": {exc}" if exc else ""))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # Called by httptools.

    def on_message_begin(self) -> None:
        if self.complete:
            self._fail("bytes that belong to no answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers.clear()
            return
        self.status = status
        self._headed = True
        names: dict[bytes, Any] = {name.lower(): value.lower() for name, value in self.headers}
        framed = b"content-length" in names or b"chunked" in names.get(b"transfer-encoding", b"")
        self._to_the_end = not framed and status not in (204, 304)

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self._headed:
            self._keep_alive = self._parser.should_keep_alive()
            self.complete = True
