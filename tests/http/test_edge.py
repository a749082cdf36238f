"""The edge in front of a small application, on a real server, over real HTTP and raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stack.errors import Unavailable
from stack.http.edge import edge
from stack.settings import ApiKey, Settings
from telemetry.own import tracing

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"

Answer = tuple[int, dict[str, str], bytes]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it was given; some paths fail in their own way."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    if path.startswith("/agents/"):
        scope["path_template"] = "/agents/{agent_id}"
        scope["path_params"] = {"agent_id": path[8:], "dataset_id": "x"}
    if path == "/broken":
        raise RuntimeError("the password is hunter2")
    if path == "/busy":
        raise Unavailable("Busy.", retry_after=900)
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RuntimeError("the client left")
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = json.dumps({"state": scope["state"], "bytes": len(body)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == "/half":
        raise RuntimeError("in the middle")
    await send({"type": "http.response.body", "body": answer, "more_body": False})


class Edge:
    """A running server with the edge in front, and what it traced."""

    def __init__(self, settings: Settings, admin_token: str = "") -> None:
        self.spans = InMemorySpanExporter()
        self.tracing = tracing.start("0", "test", [SimpleSpanProcessor(self.spans)])
        app = edge(application, settings, tracing=self.tracing, admin_token=admin_token)  # type: ignore[arg-type]
        config = uvicorn.Config(app, port=0, http="httptools", log_config=None, access_log=False)  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(lambda: self._server.started)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self.tracing.shutdown()

    def ask(
        self, path: str = "/thing", method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            received = b""
            while data := connection.recv(65536):
                received += data
            return received


def until(condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextlib.contextmanager
def running(admin_token: str = "", **settings: Any) -> Iterator[Edge]:
    server = Edge(Settings(**settings), admin_token)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def plain() -> Iterator[Edge]:
    with running(max_body_bytes=100_000) as server:
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[Edge]:
    keys = [ApiKey("ada", "ada-secret-1"), ApiKey("bob", "bob-secret-2")]
    with running(
        "admin-token",
        api_keys=keys,
        allowed_hosts=["agents.example"],
        allowed_origins=["https://app.example"],
    ) as server:
        yield server


def refused(answer: Answer, status: int) -> dict[str, Any]:
    """An error answer has the contract's body, JSON type and a trace id."""
    assert answer[0] == status, answer
    assert answer[1]["content-type"] == "application/json"
    assert len(answer[1]["x-trace-id"]) == 32
    error: dict[str, Any] = json.loads(answer[2])
    assert error["status"] == status
    assert set(error) <= {"status", "title", "detail", "instance"}
    return error


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:8321", "localhost."])  # fmt: skip
def test_loopback_hosts_are_answered(plain: Edge, host: str) -> None:
    assert plain.ask(Host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "128.0.0.1", "", "a@localhost", "[::2]", "0.0.0.0", "127.1"],
)  # fmt: skip
def test_foreign_hosts_are_refused(plain: Edge, host: str) -> None:
    refused(plain.ask(Host=host), 403)


def test_a_request_without_host_or_with_two_is_refused(plain: Edge) -> None:
    assert b" 403 " in plain.raw(b"GET / HTTP/1.0\r\n\r\n").split(b"\r\n")[0]
    two = plain.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert b" 400 " in two.split(b"\r\n")[0]


def test_configured_hosts_are_answered(guarded: Edge) -> None:
    assert guarded.ask(Host="agents.example:443", Authorization="Bearer ada-secret-1")[0] == 200
    refused(guarded.ask(Host="other.example", Authorization="Bearer ada-secret-1"), 403)


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://localhost:1", "file://", "chrome-extension://x", ""])  # fmt: skip
def test_foreign_origins_are_refused(plain: Edge, origin: str) -> None:
    answer = plain.ask(method="POST", Origin=origin)
    refused(answer, 403)
    assert not [name for name in answer[1] if name.startswith("access-control")]


def test_own_pages_may_call(plain: Edge) -> None:
    status, headers, _ = plain.ask(Origin=f"http://127.0.0.1:{plain.port}")
    assert status == 200
    assert not [name for name in headers if name.startswith("access-control")]


def test_allowed_origins_get_cors(guarded: Edge) -> None:
    origin = "https://app.example"
    preflight = guarded.ask(
        method="OPTIONS",
        Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,content-type",
    )
    assert preflight[0] == 204
    assert preflight[1]["access-control-allow-origin"] == origin
    assert preflight[1]["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in preflight[1]["access-control-allow-methods"]
    answer = guarded.ask(Origin=origin, Authorization="Bearer ada-secret-1")
    assert answer[0] == 200
    assert answer[1]["access-control-allow-origin"] == origin
    assert answer[1]["vary"] == "origin"
    # A refusal must be readable to the page too.
    assert guarded.ask(Origin=origin)[1]["access-control-allow-origin"] == origin


def test_keys_name_the_actor(guarded: Edge) -> None:
    for name, key in (("ada", "ada-secret-1"), ("bob", "bob-secret-2"), ("admin", "admin-token")):
        for scheme in ("Bearer", "bearer"):
            status, _, body = guarded.ask(Authorization=f"{scheme} {key}")
            assert status == 200
            assert json.loads(body)["state"]["actor"] == name


def test_missing_keys_are_401_and_wrong_ones_403(guarded: Edge) -> None:
    for headers in ({}, {"Authorization": "Basic YWRhOmFkYQ=="}, {"Authorization": "Bearer"}):
        answer = guarded.ask(**headers)
        refused(answer, 401)
        assert answer[1]["www-authenticate"] == "Bearer"
    for key in ("ada-secret-", "ada-secret-12", "\xff\xfe", "ada"):
        refused(guarded.ask(Authorization=f"Bearer {key}"), 403)


def test_health_needs_no_key(guarded: Edge) -> None:
    assert guarded.ask("/v1/health")[0] == 200
    refused(guarded.ask("/v1/health/x"), 401)


def test_admin_paths_take_the_admin_token_only(guarded: Edge) -> None:
    assert guarded.ask("/admin/state", Authorization="Bearer admin-token")[0] == 200
    refused(guarded.ask("/admin/state", Authorization="Bearer ada-secret-1"), 403)
    refused(guarded.ask("/admin/state"), 401)


def test_admin_paths_are_closed_without_keys_too(plain: Edge) -> None:
    refused(plain.ask("/admin/rebuild", method="POST"), 401)


def test_without_keys_any_bearer_is_taken(plain: Edge) -> None:
    status, _, body = plain.ask(Authorization="Bearer whatever")
    assert status == 200
    assert json.loads(body)["state"]["actor"] == ""


def test_a_trace_is_continued(plain: Edge) -> None:
    plain.spans.clear()
    status, headers, body = plain.ask("/agents/1", traceparent=TRACEPARENT)
    assert (status, headers["x-trace-id"]) == (200, TRACE_ID)
    state = json.loads(body)["state"]
    assert state["trace_id"] == TRACE_ID
    until(plain.spans.get_finished_spans)
    (span,) = plain.spans.get_finished_spans()
    assert span.name == "GET /agents/{agent_id}"
    assert span.parent is not None and f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert span.context is not None
    assert state["traceparent"] == f"00-{TRACE_ID}-{span.context.span_id:016x}-01"
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["http.route"] == "/agents/{agent_id}"
    assert span.attributes["__root__"] is True
    assert span.attributes["agent_id"] == "1" and "dataset_id" not in span.attributes


@pytest.mark.parametrize(
    "path",
    ["/v1/traces", "/v1/metrics", "/v1/logs", "/v1/health", "/admin/state", "/schema", "/v1alpha/telemetry/traces"],
)  # fmt: skip
def test_telemetry_and_probes_have_an_id_and_no_span(plain: Edge, path: str) -> None:
    plain.spans.clear()
    _, headers, _ = plain.ask(path, traceparent=TRACEPARENT)
    assert headers["x-trace-id"] == TRACE_ID
    _, headers, _ = plain.ask(path)
    assert headers["x-trace-id"] not in (TRACE_ID, "0" * 32)
    plain.ask("/v1/tracesque")
    until(plain.spans.get_finished_spans)
    assert [span.attributes["url.path"] for span in plain.spans.get_finished_spans() if span.attributes] == [
        "/v1/tracesque"
    ]


@pytest.mark.parametrize("traceparent", ["", "x", "00-0-0-0", f"ff-{TRACE_ID}-b7ad6b7169203331-01", f"00-{'0' * 32}-b7ad6b7169203331-01", "\xff" * 55, "a" * 9000])  # fmt: skip
def test_a_malformed_traceparent_is_ignored(plain: Edge, traceparent: str) -> None:
    status, headers, _ = plain.ask(traceparent=traceparent)
    assert status == 200
    assert headers["x-trace-id"] not in (TRACE_ID, "0" * 32)


def test_bodies_up_to_the_limit_pass(plain: Edge) -> None:
    status, _, body = plain.ask(method="POST", body=b"x" * 100_000)
    assert (status, json.loads(body)["bytes"]) == (200, 100_000)


def test_a_body_announced_too_large_is_refused_at_once(plain: Edge) -> None:
    head = b"POST /thing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000000000\r\nExpect: 100-continue\r\n\r\n"
    answer = plain.raw(head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert b"x-should-retry: false" in answer
    assert b"x-trace-id: " in answer


def test_a_sent_body_too_large_is_answered_not_reset(plain: Edge) -> None:
    answer = plain.ask(method="POST", body=b"x" * 20_000_000)
    assert "max_body_bytes" in refused(answer, 413)["detail"]


def test_chunked_bodies_are_counted(plain: Edge) -> None:
    head = b"POST /thing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"c350\r\n" + b"x" * 50_000 + b"\r\n"
    fits = plain.raw(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + chunk * 2 + b"0\r\n\r\n")
    assert fits.startswith(b"HTTP/1.1 200 ") and b'"bytes": 100000' in fits
    too_large = plain.raw(head + chunk * 3 + b"0\r\n\r\n")
    assert too_large.startswith(b"HTTP/1.1 413 ")
    assert too_large.count(b"HTTP/1.1") == 1


def test_the_server_answers_on_after_a_refused_body(plain: Edge) -> None:
    assert plain.ask()[0] == 200


def test_a_client_that_leaves_within_its_body_is_no_error(
    plain: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    plain.spans.clear()
    with caplog.at_level(logging.INFO):
        with socket.create_connection(("127.0.0.1", plain.port)) as connection:
            connection.sendall(b"POST /thing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
            time.sleep(0.05)
        until(plain.spans.get_finished_spans)
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


def broken_spans(edge: Edge) -> list[ReadableSpan]:
    """Without the span of a client that left in the test before, which may come late."""
    spans = edge.spans.get_finished_spans()
    return [span for span in spans if (span.attributes or {}).get("url.path") == "/broken"]


def test_an_unexpected_failure_tells_nothing_of_the_inside(
    plain: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    plain.spans.clear()
    with caplog.at_level(logging.INFO):
        answer = plain.ask("/broken")
        until(lambda: broken_spans(plain))
        until(lambda: any(record.name == "replaystack.access" for record in caplog.records))
    error = refused(answer, 500)
    assert "hunter2" not in json.dumps(error)
    assert answer[1]["x-should-retry"] == "false"
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.name == "replaystack.http"
    (span,) = broken_spans(plain)
    assert not span.status.is_ok
    assert "hunter2" not in span.to_json()


def test_a_known_failure_keeps_its_status(plain: Edge) -> None:
    answer = plain.ask("/busy")
    assert refused(answer, 503)["detail"] == "Busy."
    assert answer[1]["retry-after"] == "60"
    assert "x-should-retry" not in answer[1]


def test_an_answer_that_breaks_off_breaks_the_connection(plain: Edge) -> None:
    with pytest.raises(http.client.IncompleteRead):
        plain.ask("/half")


def test_websockets_are_refused(plain: Edge) -> None:
    upgrade = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert not plain.raw(upgrade).startswith(b"HTTP/1.1 101")


def test_other_scopes_pass_through() -> None:
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return None

    app: Any = edge(inner, Settings(), tracing=tracing.Tracing(None))
    asyncio.run(app({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]
