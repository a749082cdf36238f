"""Failures of a chat completion that is passed through: at the model server, in the request, at its
caller."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import openai
import psutil  # type: ignore[import-untyped]
import pytest

from tests.server.process import Replaystack, wait_until
from tests.server.raw_http import JSON, ask, connection, request
from tests.server_gateway.asking import (
    HELLO,
    PATHS,
    body,
    check_openai_error,
    post,
)
from tests.servers.processes import RunningServer


@pytest.mark.parametrize(
    ("script", "error", "status"),
    [
        ("status;code=400", openai.BadRequestError, 400),
        ("status;code=403", openai.PermissionDeniedError, 403),
        ("status;code=404", openai.NotFoundError, 404),
        ("status;code=409", openai.ConflictError, 409),
        ("status;code=418", openai.APIStatusError, 418),
        ("status;code=422", openai.UnprocessableEntityError, 422),
        ("status;code=429;retry_after=7", openai.RateLimitError, 429),
        ("status;code=500", openai.InternalServerError, 500),
        ("status;code=503", openai.InternalServerError, 503),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_servers_errors_pass_as_they_are(
    client: openai.OpenAI, script: str, error: type[openai.APIStatusError], status: int, stream: bool
) -> None:
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=f"scripted/{script}", messages=HELLO, stream=stream)
    assert raised.value.status_code == status
    assert raised.value.body == {
        "message": f"scripted status {status}",
        "type": "scripted",
        "param": None,
        "code": None,
    }
    assert raised.value.response.headers.get("retry-after") == ("7" if status == 429 else None)


def test_nothing_is_repeated_for_the_caller(http: httpx.Client, scripted: RunningServer) -> None:
    post(http, "scripted/status;code=503")
    assert scripted.counts()["requests"] == 1


@pytest.mark.parametrize(
    ("model", "status", "mention"),
    [
        ("scripted/status;code=401", 502, "api_key of 'scripted'"),
        ("scripted/redirect", 502, "redirects are not followed"),
        ("scripted/html", 502, "web page"),
        ("scripted/drop", 502, "broke off"),
        ("nowhere/model", 502, "cannot be reached"),
        ("impatient/mute", 504, "did not answer within"),
        ("unknown/model", 404, "GET /v1/models"),
        ("demo/unknown", 404, "GET /v1/models"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_an_answer_has_its_status(
    http: httpx.Client, model: str, status: int, mention: str, stream: bool
) -> None:
    error = check_openai_error(post(http, model, stream=stream), status, mention)
    assert error["code"] == ("model_not_found" if status == 404 else None)


def test_a_stream_that_never_begins_has_a_status_too(http: httpx.Client) -> None:
    check_openai_error(post(http, "impatient/silent", stream=True), 504, "no first token")


@pytest.mark.parametrize(
    ("model", "mention"),
    [
        ("scripted/cut;chunks=2", "broke off"),
        ("impatient/stall;chunks=2", "stopped sending"),
        ("scripted/error;chunks=2", "scripted failure"),
        ("scripted/huge-line", "longer than 8 MiB"),
    ],
)
def test_what_fails_later_is_an_event_that_the_client_raises(
    client: openai.OpenAI, model: str, mention: str
) -> None:
    got = []
    with pytest.raises(openai.APIError, match=mention):
        chunks = client.chat.completions.create(model=model, messages=HELLO, stream=True)
        got.extend(chunk.choices[0].delta.content for chunk in chunks)
    assert got == ([] if "huge" in model else ["The", " answer"])


def test_an_answer_that_only_lacks_its_end_is_whole(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="scripted/no-done", messages=HELLO, stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("content", "mention"),
    [
        (b"", "no body"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b"{}", "model is missing"),
        (b'{"model": null}', "model"),
        (b'{"model": 7}', "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": "a", "x": NaN}', "JSON"),
        (b'{"model": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b"\xff\xfe", "JSON"),
    ],
)
def test_odd_bodies_are_refused(http: httpx.Client, content: bytes, mention: str) -> None:
    answer = http.post(PATHS[0], content=content, headers={"content-type": "application/json"})
    check_openai_error(answer, 400, mention)


def test_refusals_of_the_edge_have_the_openai_form(gateway: Replaystack, http: httpx.Client) -> None:
    check_openai_error(http.post(PATHS[0], content=b"x", headers={"content-type": "text/plain"}), 415)
    check_openai_error(http.get(PATHS[0]), 405)
    check_openai_error(http.post(PATHS[1], json=body(), headers={"origin": "https://evil.example"}), 403)
    refused = ask(gateway, request("POST", PATHS[0], JSON + b"content-length: 99999999\r\n", b"{"))
    check_openai_error(refused, 413, "max_body_bytes")


def test_a_slow_reader_holds_the_server_up_and_no_memory(
    gateway: Replaystack, scripted: RunningServer
) -> None:
    process = psutil.Process(gateway.pid)
    written = json.dumps(body("scripted/flood", stream=True)).encode()
    with connection(gateway) as opened:
        before = process.memory_info().rss
        opened.sendall(request("POST", PATHS[0], JSON, written))
        assert opened.recv(4096).startswith(b"HTTP/1.1 200")
        time.sleep(1.0)
        assert process.memory_info().rss - before < 32 << 20
        taken = 0
        while taken < 40 << 20:
            taken += len(opened.recv(1 << 20))
        assert scripted.counts()["finished"] == 0
    # A client that leaves stops the model.
    wait_until(lambda: scripted.counts()["disconnects"] == 1)


@pytest.mark.parametrize("model", ["scripted/mute", "scripted/silent", "scripted/stall;chunks=2"])
@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_stops_the_model(
    gateway: Replaystack, scripted: RunningServer, model: str, stream: bool
) -> None:
    if not stream and "mute" not in model:
        pytest.skip("answered at once")
    written = json.dumps(body(model, stream=stream)).encode()
    with connection(gateway) as opened:
        opened.sendall(request("POST", PATHS[0], JSON, written))
        received = b""
        while "stall" in model and b" answer" not in received:
            received += opened.recv(65536)
        wait_until(lambda: scripted.counts()["requests"] == 1)
    wait_until(lambda: scripted.counts()["disconnects"] == 1)


def test_only_so_many_at_once(tmp_path: Path, scripted: RunningServer) -> None:
    settings = {"max_completions": 1}
    with (
        Replaystack(tmp_path / "data", model_url=scripted.base_url, settings=settings) as server,
        server.http() as http,
    ):
        with http.stream("POST", PATHS[0], json=body("scripted/stall;chunks=1", stream=True)) as first:
            assert first.status_code == 200
            busy = post(http)
            check_openai_error(busy, 503, "under way")
            assert busy.headers["retry-after"] == "1"
        wait_until(lambda: post(http).status_code == 200)
