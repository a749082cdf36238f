"""Limits of one connection on size and time: heads, bodies, idle connections, responses that are not read."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.server.process import Replaystack, wait_until
from tests.server.raw_http import answers, ask, connection, request

pytestmark = pytest.mark.slow

HEADER_BYTES = 4096
HEADER_COUNT = 32
LINE_BYTES = 1024
AGENT = json.dumps({"agent_config": {"model": "demo/extractive", "instructions": "x"}}).encode()
JSON = b"content-type: application/json\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replaystack]:
    """A server that loses patience soon."""
    settings = {
        "max_header_bytes": HEADER_BYTES,
        "max_header_count": HEADER_COUNT,
        "max_request_line_bytes": LINE_BYTES,
        "header_timeout_s": 1,
        "idle_timeout_s": 1,
        "body_timeout_s": 2,
        "min_body_bytes_per_s": 20,
        "unread_timeout_s": 2,
    }
    with Replaystack(tmp_path_factory.mktemp("limits") / "data", settings=settings) as server:
        yield server
        server.check_healthy()
    assert '"level":"error"' not in server.log, server.log


def last_answer(opened: socket.socket) -> httpx.Response | None:
    """The answer after which the server closes; None where it closes without one."""
    found = list(answers(opened))
    return found[-1] if found else None


def refused(answer: httpx.Response | None, status: int) -> str:
    """The detail of a refusal that closes its connection."""
    assert answer is not None
    assert answer.status_code == status, answer.text
    assert answer.headers["connection"] == "close"
    assert len(answer.headers["x-trace-id"]) == 32
    body = answer.json()
    assert body["status"] == status
    return str(body["detail"])


@pytest.mark.parametrize(
    ("head", "status", "setting"),
    [
        (b"GET /v1/health HTTP/1.1\r\nx: " + b"a" * HEADER_BYTES, 431, "max_header_bytes"),
        (b"GET /v1/health HTTP/1.1\r\n" + b"a" * HEADER_BYTES + b": b", 431, "max_header_bytes"),
        (b"GET /v1/health HTTP/1.1\r\n" + b"x: a\r\n" * (HEADER_COUNT + 1), 431, "max_header_count"),
        (b"GET /" + b"a" * LINE_BYTES, 414, "max_request_line_bytes"),
        (b"GET /?q=" + b"a" * LINE_BYTES, 414, "max_request_line_bytes"),
    ],
    ids=["value", "name", "count", "path", "query"],
)
@pytest.mark.parametrize("megabytes", [0, 8])
def test_heads_are_cut_off_at_their_limit(
    server: Replaystack, head: bytes, status: int, setting: str, megabytes: int
) -> None:
    with connection(server) as opened:
        opened.sendall(head)
        # A client that goes on sending still gets its answer.
        for _ in range(megabytes):
            opened.sendall(b"a" * 2**20)
        opened.sendall(b"\r\nhost: localhost\r\n\r\n")
        assert setting in refused(last_answer(opened), status)


def test_heads_below_the_limits_are_taken(server: Replaystack) -> None:
    many = b"x: a\r\n" * (HEADER_COUNT - 3) + b"y: " + b"a" * (HEADER_BYTES // 2) + b"\r\n"
    assert ask(server, request("GET", "/v1/health?" + "&" * (LINE_BYTES - 20), many)).status_code == 200


def test_each_request_of_a_connection_has_limits_of_its_own(server: Replaystack) -> None:
    large = b"y: " + b"a" * (HEADER_BYTES - 100) + b"\r\n"
    with connection(server) as opened:
        got = answers(opened)
        for _ in range(5):
            opened.sendall(request("GET", "/v1/health", large))
            assert next(got).status_code == 200
        opened.sendall(request("GET", "/v1/health", large) * 3)
        assert [next(got).status_code for _ in range(3)] == [200] * 3
        opened.sendall(request("GET", "/v1/health", large + b"z: " + b"a" * 200 + b"\r\n"))
        refused(next(got), 431)


@pytest.mark.parametrize("end", [b"0\r\nx: ", b"1;x="], ids=["trailer", "chunk extension"])
def test_what_surrounds_the_chunks_of_a_body_is_limited_too(server: Replaystack, end: bytes) -> None:
    head = request("POST", "/v1alpha/agents", JSON + b"transfer-encoding: chunked\r\n")
    with connection(server) as opened:
        opened.sendall(head + b"2\r\n{}\r\n" + end)
        # In pieces: one that arrives whole is as cheap as it is short.
        for _ in range(64):
            opened.sendall(b"a" * HEADER_BYTES)
            time.sleep(0.002)
        refused(last_answer(opened), 431)


@pytest.mark.parametrize(
    "half",
    [
        b"GET /v1/health HTTP/1.1\r\nhost: local",
        b"GET /v1/hea",
        b"POST /v1alpha/agents HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n",
    ],
)
def test_a_head_that_does_not_come_ends_its_connection(server: Replaystack, half: bytes) -> None:
    with connection(server) as opened:
        opened.sendall(half)
        assert "did not arrive" in refused(last_answer(opened), 408)


def test_a_head_that_drips_ends_its_connection(server: Replaystack) -> None:
    with connection(server) as opened:
        opened.sendall(b"GET /v1/health HTTP/1.1\r\n")
        opened.settimeout(0.1)
        heard = b""
        deadline = time.monotonic() + 30
        while not heard and time.monotonic() < deadline:
            try:
                heard = opened.recv(4096)
            except TimeoutError:
                opened.sendall(b"a: b\r\n")
        assert heard.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("said", [b"", b"\r\n\r\n"], ids=["nothing", "empty lines"])
def test_a_silent_connection_is_closed_without_a_word(server: Replaystack, said: bytes) -> None:
    with connection(server) as opened:
        opened.sendall(said)
        assert last_answer(opened) is None


def test_an_idle_connection_is_closed(server: Replaystack) -> None:
    with connection(server) as opened:
        opened.sendall(request("GET", "/v1/health"))
        answer = last_answer(opened)
        assert answer is not None
        assert answer.status_code == 200


def test_bodies_that_stall_are_refused(server: Replaystack) -> None:
    paths = ["/v1alpha/agents", "/v1beta/datasets", "/v1/traces", "/v1/chat/completions"]
    sized = b"content-length: 100\r\n", b"{"
    chunked = b"transfer-encoding: chunked\r\n", b"2\r\n{}\r\n"
    with ExitStack() as stack:
        stalled = []
        for path in paths:
            for framing, start in (sized, chunked):
                opened = stack.enter_context(connection(server, 30.0))
                opened.sendall(request("POST", path, JSON + framing) + start)
                stalled.append(opened)
        for opened in stalled:
            answer = last_answer(opened)
            assert answer is not None
            assert answer.status_code == 408, answer.text
            assert answer.headers["connection"] == "close"
            assert "too slowly" in answer.text


def test_a_body_that_drips_is_refused(server: Replaystack) -> None:
    with connection(server) as opened:
        opened.sendall(request("POST", "/v1alpha/agents", JSON + b"content-length: 1000\r\n"))
        opened.settimeout(0.2)
        heard = b""
        deadline = time.monotonic() + 30
        while not heard and time.monotonic() < deadline:
            try:
                heard = opened.recv(4096)
            except TimeoutError:
                opened.sendall(b" ")
        assert heard.startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_at_the_least_pace_is_taken(server: Replaystack) -> None:
    """For twice as long as a stalled one would have."""
    padded = b" " * 1000 + AGENT
    with connection(server) as opened:
        opened.sendall(request("POST", "/v1alpha/agents", JSON + b"content-length: %d\r\n" % len(padded)))
        for start in range(0, len(padded), 50):
            opened.sendall(padded[start : start + 50])
            time.sleep(0.2)
        assert next(answers(opened)).status_code == 200


def test_an_answer_that_does_not_wait_for_the_body_ends_the_connection(server: Replaystack) -> None:
    with connection(server) as opened:
        opened.sendall(request("GET", "/v1/health", b"content-length: 100\r\n") + b"{")
        answer = last_answer(opened)
        assert answer is not None
        assert answer.status_code == 200


def test_an_answer_that_is_not_read_ends_the_connection(server: Replaystack) -> None:
    with server.http() as client:
        rows = [{"text": "a" * 1000}] * 5000
        source = {"type": "rows", "rows": rows}
        body = {"purpose": "eval/question-answer", "source": source, "dataset_id": "large"}
        client.post("/v1beta/datasets", json=body).raise_for_status()
        for _ in range(4):
            client.post("/v1beta/datasetio/append-rows/large", json={"rows": rows}).raise_for_status()
    opened = socket.socket()
    with opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        opened.sendall(request("GET", "/v1beta/datasetio/iterrows/large"))
        assert opened.recv(10)
        wait_until(lambda: not _is_connected(server, opened), 30.0)


def _is_connected(server: Replaystack, opened: socket.socket) -> bool:
    """Whether the server still has its end of the connection."""
    port = opened.getsockname()[1]
    mine = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(mine) and fields[3] == "01":
            return True
    return False


def test_connections_beyond_the_bound_are_told(tmp_path: Path) -> None:
    settings = {"max_connections": 8, "header_timeout_s": 60}
    with Replaystack(tmp_path / "data", settings=settings) as server, ExitStack() as stack:
        for _ in range(8):
            opened = stack.enter_context(connection(server))
            # Half a body: not one of them is idle.
            opened.sendall(request("POST", "/v1alpha/agents", JSON + b"content-length: 9\r\n") + b"{")
        time.sleep(0.2)
        with connection(server) as late:
            late.sendall(request("GET", "/v1/health"))
            answer = last_answer(late)
            assert "connections" in refused(answer, 503)
            assert answer is not None
            assert int(answer.headers["retry-after"]) >= 1
        stack.close()
        assert wait_until(lambda: ask(server, request("GET", "/v1/health")).status_code == 200)


def test_an_idle_connection_gives_way_to_a_new_one(tmp_path: Path) -> None:
    settings = {"max_connections": 8, "header_timeout_s": 60, "idle_timeout_s": 60}
    with Replaystack(tmp_path / "data", settings=settings) as server, ExitStack() as stack:
        idle = [stack.enter_context(connection(server)) for _ in range(8)]
        idle[1].sendall(b"GET /v1/health HTTP/1.1\r\n")
        time.sleep(1.5)
        for _ in range(20):
            assert ask(server, request("GET", "/v1/health")).status_code == 200
        assert idle[0].recv(10) == b""
