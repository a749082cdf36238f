"""429: requests, model tokens and bytes of each key and address; wrong keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from tests.server.api import Api
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, free_port, wait_until
from tests.server.test_otlp import Ports

pytestmark = pytest.mark.slow

AGENTS = "/v1alpha/agents"
NONE = {
    "rate_limits": "on",
    "max_requests_per_minute": 0,
    "max_model_tokens_per_minute": 0,
    "max_appended_bytes_per_minute": 0,
    "max_wrong_keys_per_minute": 0,
}
KEYS = {"REPLAYSTACK_API_KEYS": "ada:the-secret-of-ada,bob:the-secret-of-bob"}
ADA = {"authorization": "Bearer the-secret-of-ada"}
BOB = {"authorization": "Bearer the-secret-of-bob"}


def refused(answer: httpx.Response, setting: str) -> None:
    assert answer.status_code == 429, answer.text
    assert answer.json()["title"] == "Too Many Requests"
    assert setting in answer.json()["detail"]
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def until_refused(ask: Callable[[], httpx.Response], most: int = 500) -> httpx.Response:
    for _ in range(most):
        answer = ask()
        if answer.status_code not in (200, 403):
            return answer
    raise AssertionError("nothing was refused")


def test_requests(fresh_server: FreshServer) -> None:
    server = fresh_server(**NONE | {"max_requests_per_minute": 60})
    with server.http() as http:
        # A made-up address does not help.
        def ask(number: int = 0) -> httpx.Response:
            return http.get(AGENTS, headers={"x-forwarded-for": f"10.0.0.{number}"})

        refused(until_refused(ask, 60), "max_requests_per_minute")
        assert [ask(number).status_code for number in range(5)].count(429) >= 4
        assert [http.get("/v1/health").status_code for _ in range(30)] == [200] * 30
        server.state()


def test_a_client_waits_and_goes_on(fresh_server: FreshServer) -> None:
    server = fresh_server(**NONE | {"max_requests_per_minute": 600})
    with server.http() as http:
        last = until_refused(lambda: http.get(AGENTS))
        assert last.headers["retry-after"] == "1"
        assert wait_until(lambda: http.get(AGENTS).status_code == 200, 30.0, 0.2)


def test_bytes_that_are_appended(fresh_server: FreshServer) -> None:
    server = fresh_server(**NONE | {"max_appended_bytes_per_minute": 6000})
    body = {"agent_config": {"model": "demo/extractive", "instructions": "a" * 20_000}}
    with server.http() as http:
        assert http.post(AGENTS, json=body).status_code == 200
        key = {"idempotency-key": "k"}
        refused(http.post(AGENTS, json=body, headers=key), "max_appended_bytes_per_minute")
        assert http.get(AGENTS).status_code == 200
        # Senders of telemetry know 503 better.
        sent = http.post("/v1/traces", json={"resourceSpans": []})
        assert sent.status_code == 503
        assert int(sent.headers["retry-after"]) >= 1
        assert (sent.json()["code"], "max_appended_bytes" in sent.json()["message"]) == (14, True)


def test_model_tokens(fresh_server: FreshServer) -> None:
    """Charged once the answer is there; a repetition asks no model, and is not refused."""
    server = fresh_server(**NONE | {"max_model_tokens_per_minute": 6})
    with server.http() as http:
        talk = Api(http).conversation()
        body: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "stream": False}
        key = {"idempotency-key": "first"}
        first = http.post(talk.path + "/turn", json=body, headers=key)
        assert first.status_code == 200, first.text
        later = {"idempotency-key": "second"}
        refused(http.post(talk.path + "/turn", json=body, headers=later), "max_model_tokens_per_minute")
        stream = http.post(talk.path + "/turn", json=body | {"stream": True})
        refused(stream, "max_model_tokens_per_minute")
        asked = {"model": "demo/extractive", "messages": body["messages"]}
        passed = http.post("/v1/chat/completions", json=asked)
        assert passed.status_code == 429
        assert "max_model_tokens_per_minute" in passed.json()["error"]["message"]
        again = http.post(talk.path + "/turn", json=body, headers=key)
        assert again.json()["turn_id"] == first.json()["turn_id"]
        assert http.get(AGENTS).status_code == 200


def test_a_refusal_is_not_the_answer_of_its_key(fresh_server: FreshServer) -> None:
    server = fresh_server(**NONE | {"max_model_tokens_per_minute": 6})
    with server.http() as http:
        talk = Api(http).conversation()
        body = {"messages": [{"role": "user", "content": "hello"}], "stream": False}
        assert http.post(talk.path + "/turn", json=body).status_code == 200
        key = {"idempotency-key": "k"}
        assert http.post(talk.path + "/turn", json=body, headers=key).status_code == 429
    server.restart(max_model_tokens_per_minute=0)
    with server.http() as http:
        assert http.post(talk.path + "/turn", json=body, headers=key).status_code == 200


def test_each_key_has_limits_of_its_own(fresh_server: FreshServer) -> None:
    """Both come from one address, which has its own."""
    settings = NONE | {"max_model_tokens_per_minute": 0, "max_requests_per_minute": 60}
    server = fresh_server(environment=KEYS, **settings)
    with server.http() as http:
        refused(until_refused(lambda: http.get(AGENTS, headers=ADA), 60), "max_requests_per_minute")
        assert "address" in http.get(AGENTS, headers=BOB).json()["detail"]
        assert "key" in http.get(AGENTS, headers=ADA).json()["detail"]


def test_wrong_keys_are_slowed_and_right_ones_are_not(fresh_server: FreshServer) -> None:
    server = fresh_server(environment=KEYS, **NONE | {"max_wrong_keys_per_minute": 30})
    with server.http() as http:
        assert http.get(AGENTS, headers=ADA).status_code == 200
        tried = iter(range(1000))

        def guess() -> httpx.Response:
            return http.get(AGENTS, headers={"authorization": f"Bearer guess-{next(tried)}"})

        refused(until_refused(guess, 60), "max_wrong_keys_per_minute")
        # Also one that this address has not shown before: others may call through the same proxy.
        for right in (ADA, BOB):
            assert http.get(AGENTS, headers=right).status_code == 200
        refused(guess(), "max_wrong_keys_per_minute")
        # Health needs no key.
        assert http.get("/v1/health", headers={"authorization": "Bearer guess"}).status_code == 200
        # Without a key nothing is guessed.
        assert http.get(AGENTS).status_code == 401


def test_grpc_senders_are_told_when_to_come_back(tmp_path: Path) -> None:
    port = free_port()
    settings = NONE | {"max_requests_per_minute": 6, "otlp_grpc_port": port}
    with Replaystack(tmp_path / "data", settings=settings) as server:
        made = Ports(server, 0, port)
        assert made.export(b"") == b""
        with pytest.raises(grpc.RpcError) as refused_call:
            made.export(b"")
        assert refused_call.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        details = dict(refused_call.value.trailing_metadata())["grpc-status-details-bin"]
        [detail] = Status.FromString(details).details
        retry = RetryInfo()
        assert detail.Unpack(retry)
        assert retry.retry_delay.seconds >= 1
        made.http.close()
