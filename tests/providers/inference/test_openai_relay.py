"""Which parts of a passed-through answer are returned, and which are not; with a small server on loopback."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stack.errors import UpstreamFailed
from stack.providers.inference.openai_compatible import OpenAICompatible
from stack.providers.inference.port import RelayedRequest
from stack.providers.inference.settings import InferenceSettings

KEY = "sk-the-key-of-the-operator"
WHOLE = json.dumps({"id": "a", "choices": []}).encode()


class Upstream(http.server.ThreadingHTTPServer):
    """Answers every request with `status`, `headers` and `body`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status = 200
        self.headers: dict[str, str] = {"content-type": "application/json"}
        self.body = WHOLE
        self.length: int | None = None


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        length = len(self.server.body) if self.server.length is None else self.server.length
        self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(self.server.body)
        self.close_connection = self.server.length is not None

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


async def relayed(upstream: Upstream, streamed: bool = False) -> tuple[int, dict[str, str], bytes]:
    base_url = f"http://127.0.0.1:{upstream.server_port}/v1"
    provider = OpenAICompatible(InferenceSettings(id="up", base_url=base_url, api_key=KEY))
    request = RelayedRequest(path="/chat/completions", body=b"{}", model="m", streamed=streamed)
    try:
        async with provider.relay(request, headers={}) as answer:
            body = b"".join([piece async for piece in answer.pieces])
            return answer.status, dict(answer.headers), body
    finally:
        await provider.aclose()


@pytest.mark.anyio
async def test_headers_that_concern_the_caller_come_back(upstream: Upstream) -> None:
    upstream.headers |= {
        "X-Request-Id": "req_1",
        "x-ratelimit-remaining-tokens": "7",
        "openai-processing-ms": "12",
        "x-should-retry": "false",
        "openai-organization": "the-operators",
        "set-cookie": "a=b",
        "access-control-allow-origin": "*",
        "x-trace-id": "1",
        "strict-transport-security": "max-age=1",
    }
    status, headers, body = await relayed(upstream)
    assert (status, body) == (200, WHOLE)
    assert headers == {
        "content-type": "application/json",
        "x-request-id": "req_1",
        "x-ratelimit-remaining-tokens": "7",
        "openai-processing-ms": "12",
        "x-should-retry": "false",
    }


@pytest.mark.anyio
async def test_an_answer_that_is_packed_all_the_same_is_unpacked(upstream: Upstream) -> None:
    upstream.headers["content-encoding"] = "gzip"
    upstream.body = gzip.compress(WHOLE)
    _, headers, body = await relayed(upstream)
    assert body == WHOLE and "content-encoding" not in headers
    upstream.headers["content-type"] = "text/event-stream"
    upstream.body = gzip.compress(b"data: {}\n\n" * 1000)
    _, _, body = await relayed(upstream, streamed=True)
    assert body == b"data: {}\n\n" * 1000


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "passes", "mention"),
    [
        ({"error": {"message": "No.", "type": "t", "param": "p", "code": 7, "more": [1]}}, True, "No."),
        ({"error": {"message": f"Key {KEY} is wrong."}}, False, "Key [api_key] is wrong."),
        ({"detail": "Not Found"}, False, "status 404: Not Found"),
        ({"object": "error", "message": "Too long", "code": 400}, False, "status 404: Too long"),
        ({"error": "plain words"}, False, "status 404: plain words"),
        ("<html>Bad</html>", False, "answered with status 404: Bad"),
        ("", False, "answered with status 404."),
        ("x" * 100_000, False, "status 404: xxx"),
        ("\udcff", False, "status 404"),
    ],
)
async def test_errors_have_the_openai_form_whatever_the_server_wrote(
    upstream: Upstream, body: Any, passes: bool, mention: str
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    upstream.status, upstream.body = 404, text.encode("utf-8", "surrogateescape")
    upstream.headers["content-type"] = "text/plain"
    status, headers, received = await relayed(upstream)
    assert status == 404 and headers["content-type"] == "application/json"
    assert mention in json.loads(received)["error"]["message"]
    assert (received == upstream.body) is passes
    assert KEY.encode() not in received


@pytest.mark.anyio
@pytest.mark.parametrize("status", [201, 204, 301, 304, 401, 407])
async def test_what_is_not_for_the_caller_is_a_failure_of_the_server(upstream: Upstream, status: int) -> None:
    upstream.status = status
    upstream.headers["location"] = "http://127.0.0.1:1/elsewhere"
    if status in (204, 304):
        upstream.body = b""
    with pytest.raises(UpstreamFailed):
        await relayed(upstream)


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_breaks_off(upstream: Upstream, streamed: bool) -> None:
    upstream.length = len(WHOLE) + 10
    upstream.headers["content-type"] = "text/event-stream" if streamed else "application/json"
    with pytest.raises(UpstreamFailed, match="broke off"):
        await relayed(upstream, streamed)


@pytest.mark.anyio
async def test_an_answer_without_an_end(upstream: Upstream) -> None:
    upstream.body = b" " * (33 << 20)
    with pytest.raises(UpstreamFailed, match="32 MiB"):
        await relayed(upstream)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "status", "mention"),
    [
        ({"error": {"message": "No credits left", "code": 402}}, 402, "No credits left"),
        ({"error": {"message": "No credits left", "type": "t"}}, 502, "No credits left"),
        ({"detail": "No credits left"}, 502, "No credits left"),
        ([{"error": {"code": 429, "message": "Slow down"}}], 429, "Slow down"),
        (b"No credits left", 502, "No credits left"),
        (b"<html><body>No credits left</body></html>", 502, "No credits left"),
        (b"", 502, "status 502"),
    ],
)
async def test_an_error_with_status_200_has_a_status_of_its_own(
    upstream: Upstream, body: Any, status: int, mention: str
) -> None:
    upstream.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    given, _, received = await relayed(upstream)
    assert given == status and mention in json.loads(received)["error"]["message"]


@pytest.mark.anyio
@pytest.mark.parametrize("body", [{"choices": [], "error": None}, {"object": "chat.completion"}, {"choices": [{"message": {"content": '"error"'}}]}])  # fmt: skip
async def test_an_answer_without_an_error_stays(upstream: Upstream, body: Any) -> None:
    upstream.body = json.dumps(body).encode()
    assert (await relayed(upstream))[::2] == (200, upstream.body)
