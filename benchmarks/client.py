"""A client over one kept connection that costs next to nothing, so that what is measured is the server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

_RECEIVE_BYTES = 256 * 1024
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Answer(NamedTuple):
    """`took_ms` is from the first byte sent to the last byte received."""

    status: int
    body: bytes
    took_ms: float


class Streamed(NamedTuple):
    """A streamed answer: when the marked text first appeared and when it was whole, in ms from the request."""

    first_ms: float
    whole_ms: float
    raw: bytes


class Connection:
    """One HTTP/1.1 connection to a port of this machine. Blocking; one thread at a time."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self._host = b"127.0.0.1:%d" % port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """One exchange whose answer has a length. Raises RuntimeError unless the status is 200."""
        message = self._message(method, path, body)
        began = time.perf_counter()
        self._socket.sendall(message)
        received = self._receive()
        end = received.find(b"\r\n\r\n")
        while end < 0:
            received += self._receive()
            end = received.find(b"\r\n\r\n")
        length = _length(received[:end])
        while len(received) < end + 4 + length:
            received += self._receive()
        took_ms = (time.perf_counter() - began) * 1000
        answer = Answer(int(received[9:12]), received[end + 4 :], took_ms)
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer

    def post(self, path: str, body: Any) -> Answer:
        return self.request("POST", path, body)

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def stream(self, path: str, body: Any, mark: bytes) -> Streamed:
        """A POST whose answer is streamed in chunks. Raises RuntimeError unless it is 200 and has `mark`."""
        return self._streamed("POST", path, body, mark)

    def stream_while(self, path: str, body: Any, mark: bytes, begun: Callable[[bytes], None]) -> Streamed:
        """As `stream`, and calls `begun` with the head of the answer as soon as that is there."""
        return self._streamed("POST", path, body, mark, begun)

    def follow(self, path: str, mark: bytes) -> Streamed:
        """A GET whose answer is streamed, as `stream`."""
        return self._streamed("GET", path, None, mark)

    def _streamed(
        self, method: str, path: str, body: Any, mark: bytes, begun: Callable[[bytes], None] | None = None
    ) -> Streamed:
        message = self._message(method, path, body)
        began = time.perf_counter()
        self._socket.sendall(message)
        received = bytearray()
        first: float | None = None
        while not received.endswith(_LAST_CHUNK):
            received += self._receive()
            if first is None and mark in received:
                first = time.perf_counter()
            if len(received) > 12 and not received.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{method} {path}: {bytes(received[:400])!r}")
            if begun is not None and b"\r\n\r\n" in received:
                begun(bytes(received.partition(b"\r\n\r\n")[0]))
                begun = None
        ended = time.perf_counter()
        if first is None:
            raise RuntimeError(f"{method} {path}: {mark!r} is not in {bytes(received[:400])!r}")
        return Streamed((first - began) * 1000, (ended - began) * 1000, bytes(received))

    def _message(self, method: str, path: str, body: Any) -> bytes:
        head = b"%s %s HTTP/1.1\r\nhost: %s\r\n" % (method.encode(), path.encode(), self._host)
        if body is None:
            return head + b"\r\n"
        content = msgspec.json.encode(body)
        return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
            len(content),
            content,
        )

    def _receive(self) -> bytes:
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise RuntimeError("The server closed the connection.")
        return data


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise RuntimeError(f"The answer has no length: {head!r}")
