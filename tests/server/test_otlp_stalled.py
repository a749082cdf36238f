"""Senders that stall or drip, by every road: they end after a while, and no one else notices them."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from tests.server.process import Replaystack, free_port
from tests.server.raw_http import answers
from tests.server.test_otlp import EXPORT, Ports, one
from tests.telemetry.otlp_requests import trace_request

pytestmark = pytest.mark.slow

GZIP = b"content-encoding: gzip\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """A server that lets a sender stall for longer than these tests take."""
    yield from _served(tmp_path_factory.mktemp("patient"), body_timeout_s=600)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    yield from _served(tmp_path_factory.mktemp("strict"), body_timeout_s=0.5)


def _served(folder: Path, body_timeout_s: float) -> Iterator[Ports]:
    settings = {
        "otlp_http_port": free_port(),
        "otlp_grpc_port": free_port(),
        "body_timeout_s": body_timeout_s,
    }
    with Replaystack(folder / "data", settings=settings) as server:
        made = Ports(server, int(settings["otlp_http_port"]), int(settings["otlp_grpc_port"]))
        while '"taking OTLP over gRPC' not in server.log:  # The last port that opens.
            time.sleep(0.05)
        yield made
        server.check_healthy()
        made.http.close()
    assert '"level":"error"' not in server.log, server.log


def begun(ports: Ports, headers: bytes, body: bytes = b"") -> socket.socket:
    """A request whose sender stalls after `body`."""
    stalled = socket.create_connection(("127.0.0.1", ports.http_port), 30)
    stalled.sendall(
        b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
        + headers
        + b"\r\n"
        + body
    )
    return stalled


def check_others(ports: Ports) -> None:
    span = one()
    assert ports.post("traces", trace_request([span])).status_code == 200
    assert ports.telemetry.span(span)["name"] == "work"
    assert ports.export(trace_request([one()])) == b""


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (GZIP + CHUNKED, b""),
        (CHUNKED, b""),
        (GZIP + b"content-length: 4194304\r\n", b""),
        (GZIP + b"content-length: 19000000\r\n", b"\x1f\x8b" + b"x" * 100_000),
        (b"content-length: 19000000\r\n", b"x" * 18_000_000),
        (CHUNKED, b"112A880\r\n" + b"x" * 17_000_000),
        (b"content-length: 10\r\n", b"x" * 9),
    ],
    ids=["gzip chunked", "chunked", "gzip announced", "gzip part", "almost all", "chunk part", "short"],
)
def test_one_stalled_sender_stops_nobody(patient: Ports, headers: bytes, body: bytes) -> None:
    with begun(patient, headers, body), begun(patient, headers, body):
        check_others(patient)


@pytest.mark.parametrize("size", [0, 60_000])
def test_five_hundred_stalled_senders_stop_nobody(patient: Ports, size: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        with ExitStack() as stack:
            for number in range(500):
                headers = (GZIP + CHUNKED, b"content-length: 19000000\r\n")[number % 2]
                content = b"ea60\r\n" + b"x" * size if number % 2 == 0 and size else b"x" * size
                stack.enter_context(begun(patient, headers, content))
            for _ in range(3):
                check_others(patient)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("headers", [GZIP + CHUNKED, b"content-length: 4194304\r\n"])
def test_a_stalled_sender_is_told(strict: Ports, headers: bytes) -> None:
    with begun(strict, headers) as stalled:
        received = answers(stalled)
        answer = next(received)
        assert answer.status_code == 408 and answer.headers["connection"] == "close"
        assert next(received, None) is None, "the connection is still open"


def test_a_dripping_sender_is_told(strict: Ports) -> None:
    done = threading.Event()
    with begun(strict, b"content-length: 4194304\r\n") as dripping:

        def drip() -> None:
            while not done.wait(0.02):
                try:
                    dripping.sendall(b"x")
                except OSError:
                    return

        sender = threading.Thread(target=drip)
        sender.start()
        try:
            assert next(answers(dripping)).status_code == 408
        finally:
            done.set()
            sender.join()


def stalled_calls(ports: Ports, count: int, leave: threading.Event) -> list[grpc.Future]:
    """Calls without a message, over a few connections."""

    def nothing() -> Iterator[bytes]:
        leave.wait()
        yield from ()

    calls = []
    for number in range(count):
        channel = grpc.insecure_channel(
            f"127.0.0.1:{ports.grpc_port}", options=[("grpc.use_local_subchannel_pool", number % 10 == 0)]
        )
        calls.append(channel.stream_unary(EXPORT).future(nothing(), wait_for_ready=True))
    return calls


def test_stalled_grpc_calls_stop_nobody(patient: Ports) -> None:
    leave = threading.Event()
    calls = stalled_calls(patient, 150, leave)
    try:
        for _ in range(3):
            check_others(patient)
    finally:
        for call in calls:
            call.cancel()
        leave.set()


def test_a_stalled_grpc_call_is_told(strict: Ports) -> None:
    leave = threading.Event()
    [call] = stalled_calls(strict, 1, leave)
    try:
        error = call.exception(60)
        assert isinstance(error, grpc.RpcError)
        assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    finally:
        leave.set()
