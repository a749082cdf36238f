"""The receiver as senders meet it: over HTTP on both ports and over gRPC, with whatever they may send."""

from __future__ import annotations

import gzip
import json
import logging
import resource
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.cli.folders import replaystack
from tests.server.process import Replaystack, free_port, wait_until
from tests.server.telemetry import PROTOBUF, Telemetry
from tests.server.telemetry_samples import new_id
from tests.telemetry.otlp_requests import PlainSpan, trace_request

pytestmark = pytest.mark.slow

JSON = {"content-type": "application/json"}
MIB = 2**20
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Ports:
    """A server with all three ports."""

    def __init__(self, server: Replaystack, http_port: int, grpc_port: int) -> None:
        self.server = server
        self.http_port = http_port
        self.grpc_port = grpc_port
        self.http = server.http()
        self.telemetry = Telemetry(self.http)

    def post(self, signal: str, body: Any, headers: dict[str, str] = PROTOBUF) -> httpx.Response:
        return self.http.post(f"/v1/{signal}", content=body, headers=headers)

    def export(self, body: bytes, metadata: Any = (), signal: str = EXPORT) -> bytes:
        """Over gRPC, once the port is open. Raises grpc.RpcError."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            grpc.channel_ready_future(channel).result(10)
            answer: bytes = channel.unary_unary(signal)(body, timeout=20, metadata=metadata)
            return answer


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    settings = {"otlp_http_port": free_port(), "otlp_grpc_port": free_port()}
    with Replaystack(tmp_path_factory.mktemp("otlp") / "data", settings=settings) as server:
        made = Ports(server, settings["otlp_http_port"], settings["otlp_grpc_port"])
        yield made
        server.check_healthy()
        made.http.close()
    assert '"level":"error"' not in server.log, server.log


def one(**more: Any) -> PlainSpan:
    return PlainSpan(trace=new_id(128), span=new_id(), **more)


def json_request(*spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def json_span(span: PlainSpan, **more: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": str(span.start_ns), "endTimeUnixNano": str(span.end_ns)}
    return {"traceId": span.trace_id, "spanId": span.span_id, "name": span.name} | times | more


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("", bytes),
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip", lambda body: gzip.compress(body[:40]) + gzip.compress(body[40:])),
    ],
)
def test_protobuf_in_all_codings(ports: Ports, coding: str, pack: Any) -> None:
    span = one(attributes={"a": 1})
    headers = PROTOBUF | ({"content-encoding": coding} if coding else {})
    answer = ports.post("traces", pack(trace_request([span])), headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert ports.telemetry.span(span)["attributes"] == {"a": 1}


def test_json(ports: Ports) -> None:
    span = one()
    body = json_request(
        json_span(
            span,
            kind="SPAN_KIND_CLIENT",
            attributes=[
                {"key": "n", "value": {"intValue": "9007199254740993"}},
                {"key": "m", "value": {"intValue": 5}},
            ],
            nobodyKnows={"this": 1},
        )
    )
    answer = ports.post("traces", body, JSON | {"content-type": "application/json; charset=utf-8"})
    assert (answer.status_code, answer.json()) == (200, {})
    assert ports.telemetry.span(span)["attributes"] == {"n": 9007199254740993, "m": 5}
    [details] = ports.telemetry.trace_spans(span.trace_id)
    assert details["kind"] == "client"


def test_a_body_that_comes_in_pieces(ports: Ports) -> None:
    spans = [one() for _ in range(50)]
    body = trace_request(spans)
    answer = ports.post("traces", (body[at : at + 100] for at in range(0, len(body), 100)))
    assert answer.status_code == 200
    assert ports.telemetry.span(spans[-1])["name"] == "work"


def test_an_empty_request_is_one(ports: Ports) -> None:
    for signal in ("traces", "metrics", "logs"):
        assert ports.post(signal, b"").status_code == 200
        assert ports.post(signal, b"{}", JSON).json() == {}


def test_what_is_rejected_is_said_and_the_rest_is_kept(ports: Ports) -> None:
    good = one()
    request = json_request(
        json_span(good),
        json_span(one()) | {"traceId": "00" * 16},
        json_span(one()) | {"traceId": "abc"},
        json_span(one()) | {"spanId": "not hexadecimal"},
        json_span(one()) | {"startTimeUnixNano": str(2**63)},
    )
    partial = ports.post("traces", request, JSON).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "4"
    for said in ("2 because a trace id", "1 because a span id", "1 because a time"):
        assert said in partial["errorMessage"]
    assert ports.telemetry.span(good)["name"] == "work"
    answer = ports.post("traces", trace_request([one(), PlainSpan(trace=0, span=1)]))
    parsed = ExportTraceServiceResponse.FromString(answer.content)
    assert parsed.partial_success.rejected_spans == 1
    assert "trace id" in parsed.partial_success.error_message


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"\xff\xff\xff", ""),
        (trace_request([PlainSpan(trace=1, span=1)])[:-3], ""),
        (b"no gzip", "gzip"),
        (gzip.compress(b"a" * 10_000, mtime=0)[:-9], "gzip"),
        (b"no deflate", "deflate"),
    ],
)
def test_what_cannot_be_read_is_a_status(ports: Ports, signal: str, body: bytes, coding: str) -> None:
    answer = ports.post(signal, body, PROTOBUF | ({"content-encoding": coding} if coding else {}))
    assert answer.status_code == 400 and answer.headers["content-type"] == "application/x-protobuf"
    status = Status.FromString(answer.content)
    assert status.code == 3 and len(status.message) > 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"resourceSpans": 5}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 5}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "soon"}]}]}]}',
        b'{"resourceSpans": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'\xff\xfe{"resourceSpans": []}',
    ],
)
def test_json_that_cannot_be_read(ports: Ports, body: bytes) -> None:
    answer = ports.post("traces", body, JSON)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == 3 and len(answer.json()["message"]) > 20


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/grpc"},
        PROTOBUF | {"content-encoding": "br"},
        PROTOBUF | {"content-encoding": "gzip, gzip"},
    ],
)
def test_other_forms_are_named(ports: Ports, headers: dict[str, str]) -> None:
    answer = ports.post("traces", trace_request([one()]), headers)
    assert answer.status_code == 415
    assert b"Content-" in answer.content


def test_what_is_too_large_is_refused_as_early_as_can_be(ports: Ports) -> None:
    began = time.monotonic()
    bomb = gzip.compress(bytes(200 * MIB), 9)
    for body, headers in (
        (bytes(21 * MIB), PROTOBUF),
        ((bytes(MIB) for _ in range(21)), PROTOBUF),
        (bomb, PROTOBUF | {"content-encoding": "gzip"}),
        (zlib.compress(bytes(200 * MIB), 9), PROTOBUF | {"content-encoding": "deflate"}),
        (bomb, JSON | {"content-encoding": "gzip"}),
    ):
        answer = ports.post("traces", body, headers)
        assert answer.status_code == 413, answer.content
    assert time.monotonic() - began < 20


def test_the_other_http_port_takes_telemetry_only(ports: Ports) -> None:
    span = one()
    url = f"http://127.0.0.1:{ports.http_port}"
    assert httpx.post(f"{url}/v1/traces", content=trace_request([span]), headers=PROTOBUF).status_code == 200
    assert ports.telemetry.span(span)["name"] == "work"
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/agents"), ("GET", "/"), ("GET", "/v1/traces")):
        answer = httpx.request(method, url + path)
        assert answer.status_code in (404, 405), path


def test_pages_of_others_do_not_reach_it(ports: Ports) -> None:
    for port in (ports.http_port, int(ports.server.url.rpartition(":")[2])):
        url = f"http://127.0.0.1:{port}/v1/traces"
        answer = httpx.post(url, content=b"{}", headers=JSON | {"origin": "https://evil.example"})
        assert answer.status_code == 403
        assert httpx.post(url, content=b"{}", headers=JSON | {"host": "evil.example"}).status_code == 403


def test_grpc(ports: Ports) -> None:
    span = one()
    assert ports.export(trace_request([span])) == b""
    assert ports.telemetry.span(span)["name"] == "work"
    answer = ExportTraceServiceResponse.FromString(
        ports.export(trace_request([one(), PlainSpan(trace=5, span=0)]))
    )
    assert answer.partial_success.rejected_spans == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        (bytes(5 * MIB), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_grpc_refuses_what_cannot_be_taken(ports: Ports, body: bytes, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        ports.export(body)
    assert refused.value.code() is code
    with pytest.raises(grpc.RpcError) as unknown:
        ports.export(b"", signal="/opentelemetry.proto.collector.trace.v1.TraceService/Import")
    assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_keys_are_asked_for_on_each_port(tmp_path: Path) -> None:
    settings = {"otlp_http_port": free_port(), "otlp_grpc_port": free_port()}
    environment = {"REPLAYSTACK_API_KEYS": "me:a-secret-key"}
    with Replaystack(tmp_path / "data", settings=settings, environment=environment) as server:
        made = Ports(server, settings["otlp_http_port"], settings["otlp_grpc_port"])
        body = trace_request([one()])
        for port in (made.http_port, int(server.url.rpartition(":")[2])):
            url = f"http://127.0.0.1:{port}/v1/traces"
            assert httpx.post(url, content=body, headers=PROTOBUF).status_code == 401
            key = {"authorization": "Bearer a-secret-key"}
            assert httpx.post(url, content=body, headers=PROTOBUF | key).status_code == 200
        for metadata, code in (
            ((), grpc.StatusCode.UNAUTHENTICATED),
            ((("authorization", "Bearer wrong-key"),), grpc.StatusCode.PERMISSION_DENIED),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                made.export(body, metadata)
            assert refused.value.code() is code
        assert made.export(body, (("authorization", "Bearer a-secret-key"),)) == b""
        made.http.close()


def test_ports_that_are_taken_are_a_warning(tmp_path: Path) -> None:
    with socket.socket() as http_port, socket.socket() as grpc_port, socket.socket() as flight_port:
        settings = {}
        for name, taken in (
            ("otlp_http_port", http_port),
            ("otlp_grpc_port", grpc_port),
            ("flight_port", flight_port),
        ):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            settings[name] = taken.getsockname()[1]
        with Replaystack(tmp_path / "data", settings=settings) as server, server.http() as http:
            span = one()
            Telemetry(http).send([span])
            assert Telemetry(http).span(span)["name"] == "work"
            for _ in range(100):
                if server.log.count("is not opened for") == 3:
                    break
                time.sleep(0.05)
            for name, port in settings.items():
                [warning] = [
                    line for line in server.log.splitlines() if f"port {port} is not opened for" in line
                ]
                assert name in warning and json.loads(warning)["level"] == "warning"
            checks = replaystack("doctor", "--data", str(tmp_path / "data"), "--json").stdout
            assert "is not open for Arrow Flight SQL" in checks


def test_a_port_that_found_no_descriptors_opens_later(tmp_path: Path) -> None:
    assert any(opens_later(tmp_path / str(attempt)) for attempt in range(5)), (
        "the port was always open too early"
    )


def opens_later(data: Path) -> bool:
    """Whether the port was still closed when the server had no descriptors left; if so, that it opens later."""
    port = free_port()
    with Replaystack(data, settings={"otlp_grpc_port": port}) as server:
        _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (4, hard))
        refused, opened = f"port {port} cannot be opened for OTLP yet", "taking OTLP over gRPC"
        wait_until(lambda: refused in server.log or opened in server.log, 30.0)
        was_closed = refused in server.log
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
        if was_closed:
            [state] = server.state()["ports"]
            assert state["setting"] == "otlp_grpc_port"
            wait_until(lambda: server.state()["ports"][0]["is_open"], 30.0)
            made = Ports(server, 0, port)
            assert made.export(b"") == b""
            assert server.state()["ports"][0]["problem"] == ""
    return was_closed


def test_a_full_intake_says_when_to_come_back_and_keeps_what_it_took(tmp_path: Path) -> None:
    """More senders than there is room for: each gets an answer, and all that was acknowledged is there."""
    spans = [[one(attributes={"text": "x" * 60_000}) for _ in range(60)] for _ in range(60)]
    taken: list[PlainSpan] = []
    refused: list[httpx.Response] = []
    lock = threading.Lock()
    with Replaystack(tmp_path / "data") as server, server.http() as http:

        def send(batch: list[PlainSpan]) -> None:
            with server.http() as own:
                answer = own.post("/v1/traces", content=trace_request(batch), headers=PROTOBUF)
            with lock:
                if answer.status_code == 200:
                    taken.append(batch[0])
                else:
                    refused.append(answer)

        senders = [threading.Thread(target=send, args=(batch,)) for batch in spans]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert len(taken) + len(refused) == 60 and len(taken) >= 8
        for answer in refused:
            assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            assert Status.FromString(answer.content).code == 14
        for span in taken:
            assert Telemetry(http).span(span)["name"] == "work"
    logging.getLogger(__name__).info("%d were refused", len(refused))
