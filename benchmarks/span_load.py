"""Spans that come in from a process of its own: `python -m benchmarks.span_load PORT WAY`, over several connections.

Once its requests can be made it prints `ready`, and begins when its input says so. At its end, or when its input ends,
it prints a line of JSON: what was acknowledged, when, and how long that took. Requests are made while they are sent, at
0.7 us a span in protobuf and 1.5 us in JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Literal, Protocol

import grpc
import msgspec
from msgspec import Struct

from benchmarks.servers import ROOT
from benchmarks.telemetry_requests import SPANS, SpanRequests

CONNECTIONS = 4
Way = Literal["protobuf", "json", "grpc"]
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_MEDIA_TYPES = {"protobuf": "application/x-protobuf", "json": "application/json"}
_EMPTY = (b"", b"{}", b'{"partialSuccess":{}}')
_FOREVER = 10**9


class Acknowledged(Struct, array_like=True):
    """One request: the moment of `time.monotonic()` of its answer, and how long that took. With a given rate it counts
    from the moment at which the request was due."""

    at_s: float
    took_ms: float


class Sent(Struct):
    """All of a load. `put_off` is how often there was no room and a request was sent again later."""

    began_s: float
    requests: list[Acknowledged]
    put_off: int

    @property
    def ended_s(self) -> float:
        return max([one.at_s for one in self.requests])

    @property
    def spans_per_s(self) -> float:
        return len(self.requests) * SPANS / (self.ended_s - self.began_s)


class SpanLoad:
    """The other process, as seen from the benchmark."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._heard("ready")

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()

    def stop(self) -> Sent:
        """Returns what has been sent, after all requests in progress are answered."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.sent()

    def sent(self) -> Sent:
        """Returns when everything is acknowledged."""
        return msgspec.json.decode(self._heard("{"), type=Sent)

    def _heard(self, beginning: str) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(beginning):
            raise RuntimeError(f"The load of spans has ended before its time: {line!r}")
        return line


@contextlib.contextmanager
def span_load(
    port: int, way: Way, first: int, count: int | None = None, spans_per_s: float = 0.0
) -> Iterator[SpanLoad]:
    """Requests from the number `first` on: `count` of them or without end; as fast as they are answered, or at a rate."""
    command = [sys.executable, "-m", "benchmarks.span_load", str(port), way, "--first", str(first)]
    command += ["--count", str(count or _FOREVER), "--spans-per-s", str(spans_per_s)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield SpanLoad(process)
        finally:
            process.kill()


class _NoRoom(Exception):
    """The server wants this request later: in so many seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class _Connection(Protocol):
    def send(self, request: bytes) -> None:
        """Returns when it is acknowledged. Raises _NoRoom; RuntimeError unless all of it was taken."""
        ...


class _OverHttp:
    def __init__(self, port: int, encoding: Literal["protobuf", "json"]) -> None:
        self._headers = {"content-type": _MEDIA_TYPES[encoding]}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, request: bytes) -> None:
        self._connection.request("POST", "/v1/traces", request, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status == 503:
            raise _NoRoom(float(answer.headers["retry-after"]))
        if answer.status != 200 or content not in _EMPTY:
            raise RuntimeError(f"{answer.status} {content[:300]!r}")


class _OverGrpc:
    def __init__(self, port: int) -> None:
        # Channels to the same address would share one connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        grpc.channel_ready_future(channel).result(timeout=30)
        self._export = channel.unary_unary(METHOD)

    def send(self, request: bytes) -> None:
        try:
            content = self._export(request, timeout=60)
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNAVAILABLE:
                raise _NoRoom(1.0) from None
            raise
        if content not in _EMPTY:
            raise RuntimeError(f"{content[:300]!r}")


class _Load:
    """Its connections share the numbers of the requests."""

    def __init__(self, first: int, count: int, requests_per_s: float) -> None:
        self._numbers = iter(range(first, first + count))
        self._first = first
        self._interval_s = 1.0 / requests_per_s if requests_per_s else 0.0
        self._next = threading.Lock()
        self._stopped = threading.Event()
        self.begins = threading.Event()
        self.sent = Sent(0.0, [], 0)
        self.failure: BaseException | None = None

    def stop(self) -> None:
        self._stopped.set()

    def run(self, made: SpanRequests, connection: _Connection) -> None:
        self.begins.wait()
        try:
            while not self._stopped.is_set():
                with self._next:
                    number = next(self._numbers, None)
                if number is None:
                    return
                request = made.request(number)
                began = time.monotonic()
                if self._interval_s:
                    due = self.sent.began_s + (number - self._first) * self._interval_s
                    time.sleep(max(0.0, due - began))
                    began = due
                self._send(connection, request)
                ended = time.monotonic()
                self.sent.requests.append(Acknowledged(ended, (ended - began) * 1000))
        except BaseException as failure:
            self.failure = failure
            self.stop()

    def _send(self, connection: _Connection, request: bytes) -> None:
        while True:
            try:
                return connection.send(request)
            except _NoRoom as refusal:
                self.sent.put_off += 1
                time.sleep(refusal.retry_after_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("way", choices=("protobuf", "json", "grpc"))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=_FOREVER)
    parser.add_argument("--spans-per-s", type=float, default=0.0)
    arguments = parser.parse_args()
    way: Way = arguments.way
    load = _Load(arguments.first, arguments.count, arguments.spans_per_s / SPANS)
    threads = [
        threading.Thread(
            target=load.run,
            args=(
                SpanRequests("json" if way == "json" else "protobuf"),
                _OverGrpc(arguments.port) if way == "grpc" else _OverHttp(arguments.port, way),
            ),
            daemon=True,
        )
        for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    load.sent.began_s = time.monotonic()
    load.begins.set()
    threading.Thread(target=_at_the_end_of_input, args=(load,), daemon=True).start()
    for thread in threads:
        thread.join()
    if load.failure is not None:
        raise load.failure
    print(msgspec.json.encode(load.sent).decode(), flush=True)


def _at_the_end_of_input(load: _Load) -> None:
    sys.stdin.read()
    load.stop()


if __name__ == "__main__":
    main()
