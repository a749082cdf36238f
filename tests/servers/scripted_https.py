"""An HTTPS server on loopback, in the test's own event loop, that answers as the path says.

| path | what is sent |
|---|---|
| /file | `files[name]` for `?name=`, with its media type |
| /redirect | 302 to `?to=` |
| /loop | 302 to itself |
| /status | the status `?code=` |
| /slow | headers, then one byte every 50 ms for ever |
| /silent | nothing, for ever |
| /huge | pieces of 64 KiB for ever, without a length |
| /claimed | a content-length of `?bytes=` and no content |
| /bomb | `?mib=` MiB of zeros as gzip |
| /gzip | `?text=` as gzip, although no one asked |
| /brotli | a content-encoding that was not asked for |
| /cut | a content-length of 100 and ten bytes |
| /noise | bytes that are not HTTP |
| /hints | 103, then the text ok |
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

from stack.providers.fetch.addresses import Address
from stack.providers.fetch.guarded import GuardedFetcher

NAMES = ("files.example", "other.example", "localhost")
LOOPBACK = ip_network("127.0.0.1/32")


class HttpsServer:
    """`requests` are the heads received; `files` maps names to media type and content. `base` is its URL."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.files: dict[str, tuple[str, bytes]] = {}
        self.requests: list[str] = []
        self.connections = 0
        self.port = 0

    @property
    def base(self) -> str:
        return f"https://files.example:{self.port}"

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def fetcher(self, **names: str) -> GuardedFetcher:
        """A fetcher that trusts this server and may reach 127.0.0.1; `names` adds addresses to host names, with
        underscores for dots."""
        known = dict.fromkeys(NAMES, "127.0.0.1") | {name.replace("_", "."): to for name, to in names.items()}

        async def resolve(host: str) -> Sequence[Address]:
            return (ip_address(known.get(host, host)),)

        return GuardedFetcher(
            allow=(LOOPBACK,), ports=(443, self.port), ssl_context=self.client_context(), resolver=resolve
        )

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            url = urlsplit(head.split(" ")[1])
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            await self.answer(writer, url.path, asked)
            writer.close()
            await writer.wait_closed()

    async def answer(self, writer: asyncio.StreamWriter, path: str, asked: dict[str, str]) -> None:
        def send(status: int, body: bytes = b"", *headers: str) -> None:
            lines = [f"HTTP/1.1 {status} Scripted", f"content-length: {len(body)}", *headers]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)

        match path:
            case "/file" if asked["name"] in self.files:
                media_type, body = self.files[asked["name"]]
                send(200, body, f"content-type: {media_type}")
            case "/redirect":
                send(302, b"", f"location: {asked['to']}")
            case "/loop":
                send(302, b"", "location: /loop")
            case "/status":
                send(int(asked["code"]))
            case "/slow":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while not writer.is_closing():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            case "/silent":
                await asyncio.Event().wait()
            case "/huge":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while not writer.is_closing():
                    writer.write(b"x" * 65536)
                    await writer.drain()
                    await asyncio.sleep(0)
            case "/claimed":
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {asked['bytes']}\r\n\r\n".encode())
            case "/bomb":
                send(200, gzip.compress(bytes(int(asked["mib"]) << 20), 1), "content-encoding: gzip")
            case "/gzip":
                half = gzip.compress(asked["text"].encode())
                send(200, half + half, "content-encoding: gzip")
            case "/brotli":
                send(200, b"x", "content-encoding: br")
            case "/cut":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789")
            case "/noise":
                writer.write(b"220 mail.example ESMTP\r\n\r\n")
            case "/hints":
                writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                send(200, b"ok", "content-type: text/plain")
            case _:
                send(404)
        await writer.drain()


@asynccontextmanager
async def running_https(**limits: Any) -> AsyncIterator[HttpsServer]:
    """Serves until the block ends; handlers that still wait are told to stop."""
    server = HttpsServer()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.authority.issue_cert(*NAMES).configure_cert(context)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(server.handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context, **limits)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()
