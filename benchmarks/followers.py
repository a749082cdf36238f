"""Readers that follow a stream together: `python -m benchmarks.followers PORT COUNT`, a process of its own.

For each path that is written to its input, all of them ask for that stream. `following` is printed once each has had
its first frame, and at the end a line of JSON: how many chunks each has read, and the moment of `time.monotonic()`
at which the last of them was through. One thread, blocking nowhere: a hundred threads would take their turns.
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from benchmarks.api import FIRST_TEXT
from benchmarks.servers import ROOT

_END = b"\r\n0\r\n\r\n"
_FIRST_FRAME = b"\nid: "


class Followed(Struct):
    """`chunks` of each reader; `ended_s` of the last of them, on the machine's monotonic clock."""

    chunks: list[int]
    ended_s: float


class Followers:
    """The other process, as seen from the benchmark."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def follow(self, path: str) -> None:
        """Returns when every reader has had its first frame."""
        assert self._process.stdin is not None
        self._process.stdin.write(path + "\n")
        self._process.stdin.flush()
        line = self._line()
        if line != "following\n":
            raise RuntimeError(f"The readers do not follow: {line!r}")

    def followed(self) -> Followed:
        """Returns when every reader has come to the end of the stream."""
        return msgspec.json.decode(self._line(), type=Followed)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def followers(port: int, count: int) -> Iterator[Followers]:
    """So many readers of the server at a port, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.followers", str(port), str(count)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Followers(process)
        assert process.stdin is not None
        process.stdin.close()


class _Reader:
    """One connection. `received` is what came since the last request."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()

    def ask(self, path: str) -> None:
        self.received.clear()
        self.socket.sendall(b"GET %s HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" % path.encode())

    def read(self) -> None:
        data = self.socket.recv(256 * 1024)
        if not data:
            raise RuntimeError(f"The server closed the connection: {bytes(self.received[-300:])!r}")
        self.received += data


def _read_until(selector: selectors.BaseSelector, mark: bytes) -> None:
    """Reads until all have received `mark`, which may be there already."""
    waiting = {key.data for key in selector.get_map().values() if mark not in key.data.received}
    while waiting:
        for key, _ in selector.select():
            reader = key.data
            reader.read()
            if mark in reader.received:
                waiting.discard(reader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    readers = [_Reader(arguments.port) for _ in range(arguments.count)]
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        for line in sys.stdin:
            for reader in readers:
                reader.ask(line.strip())
            _read_until(selector, _FIRST_FRAME)
            print("following", flush=True)
            _read_until(selector, _END)
            followed = Followed([reader.received.count(FIRST_TEXT) for reader in readers], time.monotonic())
            print(msgspec.json.encode(followed).decode(), flush=True)
    for reader in readers:
        reader.socket.close()


if __name__ == "__main__":
    main()
