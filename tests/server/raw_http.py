"""HTTP as bytes on a socket, for requests that no client library would send."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.server.process import Replaystack

JSON = b"content-type: application/json\r\n"


@contextmanager
def connection(server: Replaystack, timeout_s: float = 60.0) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout_s) as opened:
        yield opened


def request(
    method: str, target: str, headers: bytes = b"", body: bytes = b"", host: bytes = b"localhost"
) -> bytes:
    """A whole request; its content-length is right unless `headers` says something about it."""
    sized = b"content-length" in headers.lower() or b"transfer-encoding" in headers.lower()
    length = b"" if sized or not (body or method == "POST") else b"content-length: %d\r\n" % len(body)
    named = b"host: " + host + b"\r\n" if host else b""
    return f"{method} {target} HTTP/1.1\r\n".encode() + named + length + headers + b"\r\n" + body


def ask(server: Replaystack, raw: bytes) -> httpx.Response:
    """The answer to these bytes. Fails when the server closes without one."""
    with connection(server) as opened:
        opened.sendall(raw)
        return next(answers(opened))


def answers(opened: socket.socket) -> Iterator[httpx.Response]:
    """The answers on a connection in order, until it is closed. Their bodies have a content-length."""
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            piece = opened.recv(65536)
            if not piece:
                assert not received, received
                return
            received += piece
        head, _, received = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = httpx.Headers(
            [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        )
        length = int(headers.get("content-length", "0"))
        while len(received) < length:
            piece = opened.recv(65536)
            assert piece, "the answer was cut off"
            received += piece
        body, received = received[:length], received[length:]
        yield httpx.Response(int(status.split(" ")[1]), headers=headers, content=body)
